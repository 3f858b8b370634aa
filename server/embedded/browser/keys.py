"""Presses a key, unless that would do what nobody has approved.

Safety judges a key without knowing the page. So what the key would activate is judged here, right before it is pressed, like a click
that was asked for without any words: the focused element, the button by which Enter submits its form, the radio buttons that an arrow
comes to, and what may be chosen in a list that says that it acts on that at once (`onchange`). (Access keys do nothing: Playwright's keys have no text with Alt.)
What a page's own scripts do when a key comes, nothing shows; nor what is in a closed shadow tree, to a click as to a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.embedded.browser.arrival import FailedError
from server.embedded.browser.pointing import refuse_named, refuse_unasked
from server.embedded.browser.reading import read_choices

if TYPE_CHECKING:
    from playwright.async_api import Frame, Page, Playwright

ENGINE = "jarvis-keys"
ENTER, SPACE = frozenset({"Enter", "NumpadEnter"}), frozenset({"Space"})
ARROWS = frozenset({"ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"})
STILL = frozenset({"Tab", "Shift", "Escape"})  # they choose nothing
MAX_DEPTH = 20  # of frames in frames

# Finds what keys would activate in a document. By the prototypes: fields and images hide properties of forms and documents by their names.
_ENGINE = """(() => {
  const of = (prototype, name, node) => Reflect.get(prototype, name, node);
  const among = (root, css) => [...(root instanceof Document ? Document : DocumentFragment).prototype.querySelectorAll.call(root, css)];
  const shadow = (node) => of(Element.prototype, 'shadowRoot', node);
  const focused = () => {
    let node = of(Document.prototype, 'activeElement', document);
    while (node && shadow(node)?.activeElement) node = shadow(node).activeElement;
    return node;
  };
  const isFrame = (node) => node instanceof HTMLIFrameElement || node instanceof HTMLFrameElement;
  const isButton = (node) => node instanceof HTMLInputElement && /^(button|submit|reset|image|file|color)$/.test(node.type);
  const isWritten = (node) => node instanceof HTMLTextAreaElement
    || node instanceof HTMLElement && of(HTMLElement.prototype, 'isContentEditable', node)
    || node instanceof HTMLInputElement && !isButton(node) && !/^(checkbox|radio|range)$/.test(node.type);
  const isWhole = (node) => node === of(Document.prototype, 'body', document) || node === of(Document.prototype, 'documentElement', document);
  const find = {
    frame: (node) => isFrame(node) ? [node] : [],
    own: (node) => !node || isFrame(node) || isWritten(node) || isWhole(node) ? [] : [node],
    submit: (node) => {  // by the first of its form
      const submits = node instanceof HTMLSelectElement || node instanceof HTMLInputElement && !isButton(node);
      if (!submits || !node.form) return [];
      return among(node.getRootNode(), 'button, input').filter((one) => one.form === node.form && /^(submit|image)$/.test(one.type)).slice(0, 1);
    },
    radios: (node) => {  // in an order that may be from the right
      if (!(node instanceof HTMLInputElement) || node.type !== 'radio') return [];
      const group = among(node.getRootNode(), 'input').filter((one) => one.type === 'radio' && one.name === node.name && one.form === node.form && !one.disabled);
      const at = group.indexOf(node);
      return [...new Set([group.at(at - 1), group[at + 1] ?? group[0]])].filter((one) => one && one !== node);
    },
    list: (node) => node instanceof HTMLSelectElement ? [node] : [],
  };
  const queryAll = (_, ways) => ways.split(' ').flatMap((way) => find[way](focused()));
  return { query: (root, wanted) => queryAll(root, wanted)[0], queryAll };
})()"""


async def add_key_engine(playwright: Playwright) -> None:
    """Make it known to a new driver. Raises PlaywrightError."""
    await playwright.selectors.register(ENGINE, _ENGINE, content_script=True)


async def press(page: Page, key: str, timeout_ms: float) -> None:
    """Press the key, with its modifiers. Raises FailedError, PlaywrightError."""
    activates, chooses = _does(key)
    if activates or chooses:
        await _refuse_unasked(page, activates, timeout_ms, chooses=chooses)
    await page.keyboard.press(key)


def _does(key: str) -> tuple[str, bool]:
    """What it activates, as the engine finds it, and whether it may choose in a list. Modifiers change nothing of that."""
    pressed = key.rpartition("+")[2]
    if pressed in ENTER:
        return "own submit", False
    if pressed in SPACE:
        return "own", False
    return "radios" if pressed in ARROWS else "", pressed not in STILL


async def _refuse_unasked(page: Page, activates: str, timeout_ms: float, *, chooses: bool) -> None:
    """Judge what the key would activate in the page, and in the frame that has the focus."""
    frame: Frame | None = page.main_frame
    for _ in range(MAX_DEPTH):
        if frame is None:  # it has gone, and the focus with it
            return
        if activates:
            elements = frame.locator(f"{ENGINE}={activates}")
            for at in range(await elements.count()):
                await refuse_unasked(elements.nth(at), "", timeout_ms, "the key would activate")
        lists = frame.locator(f"{ENGINE}=list")
        if chooses and await lists.count():
            refuse_named(await read_choices(lists, timeout_ms), "", "the key may choose ", "")
        inner = frame.locator(f"{ENGINE}=frame")
        if not await inner.count():
            return
        owner = await inner.element_handle(timeout=timeout_ms)
        frame = await owner.content_frame()
        await owner.dispose()
    raise FailedError("it is not known what the key would activate")
