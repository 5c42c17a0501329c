"""Long prompts are heard to their end, and a request is told what its model does not know."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusion.loading import load_model
from diffusion.settings import Settings
from diffusion.vocabulary import Vocabulary, read_vocabulary
from diffusion.windows import cut, padded, room_of
from diffusion.wording import plain, unread_marks, without_marks
from diffusion_stage import SIDE, Stage, distance, draw_with, loaded, open_stage, pipeline

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "deploy/triton/starter"
FAMILIES = ["sd", "sdxl", "sd3", "flux"]
# The tiny tokenizers spell in letters: 22 of them are a window.
LONG = "soft studio light, clean look, sharp focus, showing a "
FIELD = (
    "a product photograph on a plain white background with soft studio light, clean look, sharp focus, high detail, "
    "showing a {}"
)


@pytest.fixture(scope="module")
def starter() -> Iterator[Stage]:
    stage = open_stage(load_model(Settings(STARTER / "weights/diffusion")))
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def checker() -> Any:
    sys.path.insert(0, str(STARTER))
    from checker import load_checker

    return load_checker(STARTER / "checker")


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    stage = open_stage(request.param)
    yield stage
    stage.close()


def _tokens(tokenizer: Any, text: str) -> Any:
    return tokenizer(text, add_special_tokens=False, verbose=False).input_ids


TEXTS = [
    "a red mug",
    LONG * 3,
    "Pneumonoultramicroscopicsilicovolcanoconiosis " * 3,
    "x" * 500,
    "猫とマグカップ" * 30,
    "👩‍🎨 art, 😀" * 12,
    "  spaces   \n and\tlines \r\n" * 9,
    "ＦＵＬＬ ﬁ ligatures İstanbul ß " * 9,
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["sd", "flux", "starter"])
def test_windows_are_slices_that_the_encoder_reads_whole(name: str, text: str, starter: Stage) -> None:
    pipe = starter.model.family.pipe if name == "starter" else loaded(name).family.pipe
    tokenizer = pipe.tokenizer
    parts = cut(text, [tokenizer])
    assert "".join(parts) == text
    assert all(len(_tokens(tokenizer, part)) <= room_of(tokenizer) for part in parts)
    assert len(parts) > 1 or len(_tokens(tokenizer, text)) <= room_of(tokenizer)


def test_a_window_ends_with_a_word_unless_the_word_is_long(starter: Stage) -> None:
    tokenizer = starter.model.family.pipe.tokenizer
    text = FIELD.format("red striped handbag")
    words = [word for part in cut(text, [tokenizer]) for word in part.split()]
    assert words == text.split()


def test_padding_says_nothing_and_is_as_long_as_needed() -> None:
    assert padded(["a", "b"], ["c"]) == (["a", "b"], ["c", ""])


@pytest.mark.parametrize("stage", ["sd", "sdxl", "sd3"], indirect=True)
def test_the_end_of_a_long_prompt_counts(stage: Stage) -> None:
    ends = [stage.ask(prompt=LONG * 2 + end).wait() for end in ("blue mug", "red hat")]
    # Networks of random numbers hear but faintly; with the end cut off, the pictures were the same bit for bit.
    assert distance(ends[0].picture, ends[1].picture) > 0
    assert [client.result["ignored"] for client in ends] == [[], []]


@pytest.mark.parametrize("stage", ["sd", "sdxl"], indirect=True)
def test_windows_are_laid_one_after_the_other_as_others_do_it(stage: Stage) -> None:
    family = stage.model.family
    pipe, parts = pipeline(family.name), family.windows(LONG)
    assert len(parts) == 3
    alone = [pipe.encode_prompt(part, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True,
                                negative_prompt="blue") for part in parts]  # fmt: skip
    given = {"prompt": None, "prompt_embeds": torch.cat([found[0] for found in alone], dim=1)}
    given["negative_prompt_embeds"] = torch.cat([alone[0][1]] * 3, dim=1)
    if family.name == "sdxl":
        given |= {"pooled_prompt_embeds": alone[0][2], "negative_pooled_prompt_embeds": alone[0][3]}
    picture = stage.draw(prompt=LONG, negative_prompt="blue")
    assert distance(picture, draw_with(pipe, **given)) <= 1


@pytest.mark.parametrize("stage", ["sd", "sdxl", "sd3"], indirect=True)
def test_a_long_negative_prompt_counts_to_its_end_too(stage: Stage) -> None:
    for prompt in ("a red mug", LONG, LONG * 2):
        ends = [stage.draw(prompt=prompt, negative_prompt=LONG + end) for end in ("blue mug", "red hat")]
        assert distance(*ends) > 0


@pytest.mark.parametrize("stage", FAMILIES, indirect=True)
def test_prompts_of_all_lengths_draw_in_company_what_they_draw_alone(stage: Stage) -> None:
    prompts = ["a red mug", LONG[:30], LONG, LONG * 2, LONG[:30], "a blue hat"]
    asked: list[dict[str, Any]] = [{"prompt": prompt, "seed": seed, "steps": 3} for seed, prompt in enumerate(prompts)]
    asked[1]["negative_prompt"] = LONG
    alone = [stage.draw(**fields) for fields in asked]
    together = [stage.ask(**fields) for fields in asked]
    for client, picture in zip(together, alone, strict=True):
        assert distance(client.wait().picture, picture) <= 1


@pytest.mark.parametrize("stage", ["sd"], indirect=True)
def test_short_and_long_prompts_share_a_call(stage: Stage) -> None:
    assert len(stage.model.family.windows(LONG[:30])) == 2
    together = [stage.ask(prompt=prompt, steps=12) for prompt in ("a red mug", LONG[:30], "a blue hat")]
    assert max(max(client.wait().batches) for client in together) == 3


@pytest.mark.parametrize("stage", ["sd3"], indirect=True)
def test_sd3_hears_with_clip_what_t5_cannot_take(stage: Stage) -> None:
    assert stage.ask(prompt=LONG * 2).wait().result["ignored"] == []


@pytest.mark.field("endless-prompt")
@pytest.mark.parametrize("stage", ["sd", "sdxl", "sd3"], indirect=True)
@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_of_an_endless_prompt_some_windows_are_heard_and_the_rest_is_told(stage: Stage, field: str) -> None:
    text = "one two three " * 280
    (ignored,) = stage.ask(None, **{field: text}).wait().result["ignored"]
    words = text.split()
    assert ignored["field"] == field
    assert 0 < len(words) - len(ignored["words"]) < 8 * 22
    heard = " ".join(words[: -len(ignored["words"])])
    assert stage.ask(None, **{field: heard}).wait().result["ignored"] == []
    assert distance(stage.draw(**{field: text}), stage.draw(**{field: heard})) <= 1


@pytest.mark.field("endless-prompt")
@pytest.mark.parametrize(
    "text", ["\U0001f457" * 4000, "红色的连衣裙" * 360, "xy " * 1300], ids=["emoji", "chinese", "latin"]
)
def test_a_prompt_without_a_known_word_takes_one_window_of_the_starter(starter: Stage, text: str) -> None:
    begun = time.process_time()
    result = starter.ask(prompt=text, width=128, height=128, steps=4).wait().result
    # It took half a minute, in which nobody else was served.
    assert time.process_time() - begun < 5
    assert "PROMPT_SUBJECT_UNKNOWN" in [warning["reason"] for warning in result["warnings"]]
    (ignored,) = result["ignored"]
    assert ignored["field"] == "prompt"
    assert text.split()[-1].endswith(ignored["words"][-1])


@pytest.mark.field("endless-prompt")
def test_known_words_without_end_are_bounded_too(starter: Stage) -> None:
    result = starter.ask(prompt="red " * 999 + "mug", width=128, height=128, steps=1).wait().result
    (ignored,) = result["ignored"]
    assert 800 < len(ignored["words"]) < 1000


@pytest.mark.parametrize("stage", ["flux"], indirect=True)
def test_flux_tells_the_words_that_it_cannot_take(stage: Stage) -> None:
    prompt = "one two three " * 20 + "the very last words"
    (ignored,) = stage.ask(prompt=prompt).wait().result["ignored"]
    assert ignored["field"] == "prompt"
    words = prompt.split()
    assert ignored["words"] == words[-len(ignored["words"]) :]
    heard = " ".join(words[: -len(ignored["words"])])
    assert stage.ask(prompt=heard).wait().result["ignored"] == []
    assert distance(stage.draw(prompt=prompt), stage.draw(prompt=heard)) <= 1


@pytest.mark.parametrize("stage", FAMILIES, indirect=True)
def test_a_model_that_says_nothing_of_its_words_and_sizes_warns_of_nothing(stage: Stage) -> None:
    client = stage.ask(prompt="a woman in a red dress on the beach", width=SIDE * 2).wait()
    assert client.result["warnings"] == []
    assert stage.describe()["made_for"] == {}


@pytest.mark.field("22")
@pytest.mark.parametrize(
    ("subject", "wanted"),
    [("blue mug", ("mug", "blue", "plain")), ("red striped handbag", ("handbag", "red", "striped"))],
)
def test_the_starter_draws_what_a_long_prompt_ends_with(
    starter: Stage, checker: Any, subject: str, wanted: Any
) -> None:
    clients = [
        starter.ask(prompt=FIELD.format(subject), width=128, height=128, steps=12, seed=seed) for seed in range(4)
    ]
    pictures = np.stack([client.wait().picture for client in clients])
    for found in checker.names(pictures):
        assert (found["kind"], found["colour"], found["pattern"]) == wanted
    assert clients[0].result["ignored"] == []


FILLERS = ["soft studio light", "sharp focus", "professional lighting", "8k resolution", "for an online shop"]


@pytest.mark.parametrize("windows", [2, 3])
def test_the_starter_holds_its_quality_with_long_prompts(starter: Stage, checker: Any, windows: int) -> None:
    wanted = [("hat", "green"), ("sofa", "blue"), ("mug", "yellow"), ("dress", "red"), ("lamp", "pink")] * 2
    filler = ", ".join((FILLERS * 2)[: 4 * windows - 4])
    subjects = [f"a {colour} {kind}" for kind, colour in wanted]
    prompts = [
        f"{subject}, {filler}" if seed % 2 else f"on a white background, {filler}, {subject}"
        for seed, subject in enumerate(subjects)
    ]
    # Before the engine's own thread has the tokenizer, which is for one at a time.
    assert {len(starter.model.family.windows(prompt)) for prompt in prompts} == {windows}
    clients = [
        starter.ask(prompt=prompt, width=128, height=128, steps=12, seed=seed) for seed, prompt in enumerate(prompts)
    ]
    found = checker.names(np.stack([client.wait().picture for client in clients]))
    right = sum((one["kind"], one["colour"]) == subject for one, subject in zip(found, wanted, strict=True))
    assert right >= 9


def test_the_starter_says_which_words_and_sizes_it_does_not_know(starter: Stage) -> None:
    client = starter.ask(prompt="a woman in a red dress on the beach", width=512, height=512, steps=1).wait()
    words, size = client.result["warnings"]
    assert (words["reason"], words["words"]) == ("PROMPT_WORDS_UNKNOWN", ["woman", "beach"])
    assert (size["reason"], size["words"]) == ("SIZE_UNUSUAL", [])
    assert "512x512" in size["message"]


def test_the_starter_says_when_a_prompt_names_nothing_that_it_draws(starter: Stage) -> None:
    client = starter.ask(prompt="Ein Hund am Strand", width=128, height=128, steps=1).wait()
    subject, words = client.result["warnings"]
    assert subject["reason"] == "PROMPT_SUBJECT_UNKNOWN"
    assert "mug, bottle, t-shirt" in subject["message"]
    assert words["words"] == ["ein", "hund", "am", "strand"]


def test_the_starter_warns_of_nothing_that_it_knows(starter: Stage) -> None:
    for prompt in (
        "a photo of a red striped mug on a wooden table",
        "A polka dot T-Shirt, in a garden",
        "the blue cup",
    ):
        assert starter.ask(prompt=prompt, width=128, height=128, steps=1).wait().result["warnings"] == []
    assert starter.describe()["made_for"]["products"] == list(starter.model.vocabulary.products)


def test_words_that_a_lora_may_have_taught_are_not_doubted(starter: Stage) -> None:
    path = str(ROOT / "tests/corpora/field/25_peft_prefix.safetensors")
    client = starter.ask(prompt="a zorb", width=128, height=128, steps=1, loras=[{"path": path}]).wait()
    assert client.result["warnings"] == []


def test_the_essence_is_what_is_known_with_the_product_first() -> None:
    vocabulary = read_vocabulary({"_knows": {"products": ["mug"], "colours": ["red"], "words": ["a", "on", "white"]}})
    assert vocabulary.essence("On white, award winning, showing a lovely red mug") == "a red mug on white"
    assert vocabulary.essence("nothing of this") == ""


def test_a_word_known_in_company_only_is_not_known_alone(starter: Stage) -> None:
    known = starter.model.vocabulary
    assert known.essence("a red mug, soft studio light, on light  blue") == "a red mug on light blue"
    client = starter.ask(prompt="a mug in studio light, on light blue", width=128, height=128, steps=1).wait()
    assert [warning["words"] for warning in client.result["warnings"]] == [["studio", "light"]]


def test_a_card_that_says_nothing_is_told_as_nothing() -> None:
    assert Vocabulary().as_event() == {}


def _warnings(starter: Stage, prompt: str, **more: Any) -> Any:
    result = starter.ask(prompt=prompt, width=128, height=128, steps=1, **more).wait().result
    return {warning["reason"]: warning["words"] for warning in result["warnings"]}


@pytest.mark.field("several-products")
@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a red mug and a blue hat", ["mug", "hat"]),
        ("a sofa, a lamp and a watch", ["sofa", "lamp", "watch"]),
        ("three red mugs", ["three", "mugs"]),
        ("mugs", ["mugs"]),
        ("2 blue striped dresses", ["2", "dresses"]),
        ("a pair of shoes", ["pair", "shoes"]),
        ("several T-Shirts on white", ["several", "t-shirts"]),
        ("two mug", ["two"]),
    ],
)
def test_the_starter_says_that_it_draws_one_product_where_more_are_asked_for(
    starter: Stage, prompt: str, words: list[str]
) -> None:
    assert _warnings(starter, prompt) == {"PROMPT_SUBJECTS_SEVERAL": words}


@pytest.mark.parametrize(
    "prompt", ["one red mug", "a mug, the cup on a table", "a t-shirt, a plain shirt", "a dress", "two"]
)
def test_one_product_by_two_names_or_none_is_not_several(starter: Stage, prompt: str) -> None:
    assert "PROMPT_SUBJECTS_SEVERAL" not in _warnings(starter, prompt)


@pytest.mark.field("several-products")
def test_several_of_a_product_are_drawn_as_one_of_it(starter: Stage, checker: Any) -> None:
    prompts = ["red mugs", "three blue dresses", "yellow lamps", "two green sofas"]
    clients = [
        starter.ask(prompt=prompt, width=128, height=128, steps=12, seed=seed) for seed, prompt in enumerate(prompts)
    ]
    found = checker.names(np.stack([client.wait().picture for client in clients]))
    # They were hats and t-shirts.
    assert [(one["colour"], one["kind"]) for one in found] == [
        ("red", "mug"),
        ("blue", "dress"),
        ("yellow", "lamp"),
        ("green", "sofa"),
    ]


@pytest.mark.field("negated-prompt")
@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a red mug, not striped", ["not", "striped"]),
        ("a mug without a table", ["without", "table"]),
        ("a white dress, no garden", ["no", "garden"]),
        ("a dress that isn’t striped", ["isn't", "striped"]),
    ],
)
def test_the_starter_says_that_it_leaves_nothing_out(starter: Stage, prompt: str, words: list[str]) -> None:
    assert _warnings(starter, prompt) == {"PROMPT_NEGATED": words}


MARKED = [
    ("a (red:1.4) mug", ["(red:1.4)"], "a red mug"),
    ("((red)) mug", ["((red))"], "red mug"),
    ("a red++ mug", ["red++"], "a red mug"),
    ("a (red mug)1.3 on white", ["(red mug)1.3"], "a red mug on white"),
    ("a (red)- mug", ["(red)-"], "a red mug"),
    ("[red:blue:0.5] mug", ["[red:blue:0.5]"], "red mug"),
    ("[red|blue] mug", ["[red|blue]"], "red mug"),
    ("a red mug <lora:shop:0.8>", ["<lora:shop:0.8>"], "a red mug"),
    ("a red mug --ar 16:9 --no hat, lamp", ["--ar 16:9", "--no hat, lamp"], "a red mug"),
    ("((red:1.2) mug:1.3) BREAK on white", ["(red:1.2)", "BREAK"], "red mug on white"),
]


@pytest.mark.field("weighted-prompt")
@pytest.mark.parametrize(("prompt", "marks", "words"), MARKED)
def test_marks_of_prompt_languages_are_told_and_the_starter_goes_by_the_words(
    starter: Stage, prompt: str, marks: list[str], words: str
) -> None:
    assert _warnings(starter, prompt) == {"PROMPT_MARKS_UNREAD": marks}
    assert " ".join(starter.model.vocabulary.readable(prompt).split()) == words


@pytest.mark.field("weighted-prompt")
@pytest.mark.parametrize("stage", FAMILIES, indirect=True)
def test_no_family_reads_weights_and_each_says_so(stage: Stage) -> None:
    client = stage.ask(prompt="a (red:1.4) mug", negative_prompt="(blurry:2), grey++").wait()
    (warning,) = client.result["warnings"]
    assert (warning["reason"], warning["words"]) == ("PROMPT_MARKS_UNREAD", ["(red:1.4)", "(blurry:2)", "grey++"])


@pytest.mark.parametrize(
    "prompt", ["a mug (red, with a handle)", "a mug [new]", "16:9", "a mug - red", "black-white", "a (very) red mug"]
)
def test_ordinary_punctuation_is_no_mark(prompt: str) -> None:
    assert unread_marks(prompt) == []
    assert without_marks(prompt) == prompt


@pytest.mark.parametrize(
    "text", ["(" * 4000, "(a:" * 1300, "(:" * 2000, "a+" * 2000, "--a " * 1000, "(a)" * 1300, "w" * 4000, "[a:" * 1300]
)
def test_no_prompt_makes_looking_for_marks_slow(text: str) -> None:
    begun = time.process_time()
    unread_marks(text)
    without_marks(text)
    assert time.process_time() - begun < 0.5


@pytest.mark.field("typographic-prompt")
@pytest.mark.parametrize(
    "prompt",
    [
        "a red t\u2011shirt",
        "a red t\u2010shirt",
        "a red t\u2013shirt",
        "a red t\u2212shirt",
        "a red t\uff0dshirt",
        "\uff41 \uff32\uff45\uff44 \uff54-\uff53\uff48\uff49\uff52\uff54",
        "a\u00a0red\u3000t-shirt",
        "\u201ca red t-shirt\u201d",
        "a r\u200bed t-sh\u00adirt",
        "a red t-shirt\u2122",
    ],
)
def test_typographic_spellings_are_the_words_they_stand_for(starter: Stage, prompt: str) -> None:
    assert _warnings(starter, prompt) == {}
    assert set(starter.model.vocabulary.readable(prompt).lower().split()) - {'"a', 't-shirt"'} <= {
        "a",
        "red",
        "t-shirt",
    }
    asked = {"width": 128, "height": 128, "steps": 4, "seed": 3, "exact": True}
    if '"' not in plain(prompt):
        assert distance(starter.draw(prompt=prompt, **asked), starter.draw(prompt="a red t-shirt", **asked)) == 0
