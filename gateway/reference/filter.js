const entries = [...document.querySelectorAll(".entry")];
document.getElementById("filter").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const entry of entries) {
    entry.hidden = !(entry.textContent + entry.title).toLowerCase().includes(wanted);
    entry.style.display = entry.hidden ? "none" : "";
  }
});
const open = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", open);
open();
for (const example of document.querySelectorAll(".curl")) {
  example.textContent = example.textContent.replace("{host}", location.origin);
}
