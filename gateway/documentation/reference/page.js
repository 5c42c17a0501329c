const menu = document.getElementById("menu");
const entries = [...document.querySelectorAll(".entry")].map((link) => {
  const section = document.getElementById(link.hash.slice(1));
  return { link, section, text: `${link.textContent} ${link.title} ${section.textContent}`.toLowerCase() };
});
const narrow = matchMedia("(max-width: 50rem)");
const settle = () => { menu.open = !narrow.matches; };
narrow.addEventListener("change", settle);
settle();

const show = (wanted) => {
  let found = 0;
  for (const { link, section, text } of entries) {
    const here = text.includes(wanted);
    found += here;
    link.hidden = section.hidden = !here;
    for (const fold of section.querySelectorAll("details")) {
      fold.open = wanted.length > 2 && fold.textContent.toLowerCase().includes(wanted);
    }
  }
  for (const heading of menu.querySelectorAll("h2")) {
    let next = heading.nextElementSibling;
    while (next && next.hidden) next = next.nextElementSibling;
    heading.hidden = !next || next.tagName === "H2";
  }
  document.getElementById("nothing").hidden = found > 0;
  menu.open = !narrow.matches || wanted !== "";
};
document.getElementById("filter").addEventListener("input", (event) => show(event.target.value.trim().toLowerCase()));

const open = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", open);
open();

// Behind a proxy the server may know itself by another name than its reader does.
const told = document.body.dataset.host;
if (location.origin.startsWith("http") && location.origin !== told) {
  for (const command of document.querySelectorAll(".curl")) {
    command.textContent = command.textContent.replace(`"${told}`, () => `"${location.origin}`);
  }
}
for (const command of document.querySelectorAll(".curl")) {
  const text = command.textContent;
  const button = document.createElement("button");
  button.textContent = "copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
  if (navigator.clipboard) command.append(button);
}
