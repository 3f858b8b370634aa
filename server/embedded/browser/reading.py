"""Reads what a page holds (and scrolls it), cut inside the page: its texts can be of any length, and all nine services would hold the whole one.

Playwright cuts nothing, and its `evaluate` runs among the page's own scripts, which can replace `slice` and the properties that are
read. Its selector engines run in an isolated world, where the page changes nothing but the document. So this is an engine: it
"finds" an element that belongs to no document and holds the text that was wanted.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError

from server.embedded.browser.signals import PRESSED

if TYPE_CHECKING:
    from playwright.async_api import Frame, Locator, Page, Playwright

ENGINE, CSS_ENGINE, HELD_ENGINE = "jarvis-reading", "jarvis-css", "jarvis-held"
MAX_TITLE_CHARS = 1_000
MAX_FRAMES = 20
FRAME_MS = 6_000  # for one to be read; it may be in a process of its own, and busy, and so may the machine
MAX_LINKS, MAX_LINK_CHARS, MAX_URL_CHARS = 100, 200, 4_096

_ENGINE = """(() => {
  // by the prototypes: a form's fields take the names of its properties
  const seen = (node) => node instanceof HTMLElement
    ? Reflect.get(HTMLElement.prototype, 'innerText', node)
    : node && Reflect.get(Node.prototype, 'textContent', node) || '';
  // Playwright writes into a label's field
  const fieldOf = (root) => root instanceof HTMLLabelElement ? root.control ?? root : root;
  const CONTROLS = 'a[href], area, button, input, label, summary, [role=button], [role=link], [role=menuitem], [role=tab]';
  const LABELLED = '[aria-label], [aria-labelledby], [alt], [title], input, svg title';
  const above = (node) => Reflect.get(Element.prototype, 'assignedSlot', node) ?? Reflect.get(Node.prototype, 'parentElement', node)
    ?? Node.prototype.getRootNode.call(node).host;
  const is = (node, css) => Element.prototype.matches.call(node, css);
  // What is told of an element that has no word on it: its own title, or that of what it is alone in. Of several, as of a toolbar, a title says nothing of each.
  const titled = (control) => {
    for (let node = control; node; node = above(node)) {
      const title = Element.prototype.getAttribute.call(node, 'title');
      if (title) return node === control || Element.prototype.querySelectorAll.call(node, CONTROLS).length < 2 ? title : '';
    }
    return '';
  };
  // One that is pressed as a whole, though it is no button: it is no larger than one, and no control is in it
  const isPressed = (node) => is(node, '[onclick]:not(html, body)') && !Element.prototype.querySelector.call(node, CONTROLS)
    && seen(node).length <= TEXT;
  // Texts that styles put before and behind an element
  const styled = (node) => ['::before', '::after'].flatMap((which) => [...getComputedStyle(node, which).content
    .replace(/attr\\(\\s*([\\w-]+)[^)]*\\)/g, (_, name) => JSON.stringify(Element.prototype.getAttribute.call(node, name) ?? ''))
    .matchAll(/"((?:[^"\\\\]|\\\\.)*)"/g)].map((quoted) => quoted[1]));
  // What may be pressed with an element: all within it, also in shadow trees, and what a label or a map leads to; and the texts on it.
  const on = (root) => {
    const found = new Set([root]), texts = [seen(root)];
    const add = (node) => {
      if (found.has(node)) return;
      found.add(node);
      if (node instanceof Element ? node.checkVisibility() && !node.matches('style, script') : node instanceof Text) texts.push(seen(node));
    };
    for (const node of found) {
      if (!(node instanceof Element)) continue;
      if (found.size > MANY) break;
      (Reflect.get(Element.prototype, 'shadowRoot', node)?.childNodes ?? []).forEach(add);
      if (node instanceof HTMLSlotElement) node.assignedNodes({ flatten: true }).forEach(add);
      if (node instanceof HTMLLabelElement && node.control) add(node.control);
      if (node instanceof HTMLImageElement && node.useMap) document.querySelectorAll(`map[name="${CSS.escape(node.useMap.slice(1))}"] area`).forEach(add);
      texts.push(...styled(node));
      for (const child of Reflect.get(Element.prototype, 'children', node)) found.add(child);
    }
    return { nodes: [...found].filter((node) => node instanceof Element), text: texts.join(' ').trim() };
  };
  // Playwright climbs from an element by these, and would turn in a circle between a form and a field of such a name
  const isSnare = (form) => ['parentNode', 'parentElement', 'nodeType', 'hasAttribute', 'assignedSlot', 'shadowRoot']
    .some((name) => form[name] !== Reflect.get(HTMLFormElement.prototype, name, form));
  let pressing, clicking, clicked;
  const read = {
    title: () => document.title,
    text: (root) => seen(root instanceof Document ? root.body ?? root.documentElement : root),
    wide: () => innerWidth > 1 && innerHeight > 1 ? 'yes' : '',  // others are hidden
    frame: (root) => read.wide() && read.text(root),
    filled: () => (document.body ?? document.documentElement)?.hasChildNodes() ? 'yes' : '',
    root: () => document.documentElement ? 'yes' : '',
    download: (root) => Element.prototype.closest.call(root, 'a[download], area[download]') ? 'yes' : '',
    snares: () => [...document.querySelectorAll('form')].some(isSnare) ? 'yes' : '',
    snared: (root) => {
      for (let node = root; node; node = above(node)) if (node instanceof HTMLFormElement && isSnare(node)) return 'yes';
      return '';
    },
    free: (root) => {  // is it on the element that the mouse would come?
      Element.prototype.scrollIntoView.call(root, { block: 'center', inline: 'center', behavior: 'instant' });
      const box = Element.prototype.getBoundingClientRect.call(root);
      let node = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
      while (node && node !== root) node = above(node);
      return node && !Element.prototype.matches.call(root, ':disabled, :disabled *') ? 'yes' : '';
    },
    secret: (root) => fieldOf(root).type === 'password' ? 'yes' : '',
    value: (root) => {
      const field = fieldOf(root);
      return field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement ? field.value : seen(field);
    },
    // by which a person knows what a click on the element is on: what is written on it comes first
    names: (root) => {
      let control = root;
      for (let node = root; node; node = above(node)) {
        if (is(node, CONTROLS) || isPressed(node)) { control = node; break; }
      }
      const { nodes, text } = on(control);
      const worded = /\\p{L}{2}|\\p{Lo}/u.test(text);  // an "x" is an icon
      const names = [text.slice(0, 10 * URL_CHARS)];
      const labelled = nodes.filter((node) => Element.prototype.matches.call(node, LABELLED));
      for (const node of [control, root, ...labelled.slice(0, LINKS)]) {
        const said = (name) => Element.prototype.getAttribute.call(node, name) ?? '';
        const labels = said('aria-labelledby').split(' ').map((id) => id && seen(document.getElementById(id)));
        const pressed = node instanceof HTMLInputElement && /^(button|submit|reset|image|checkbox|radio|file)$/.test(node.type);
        if (pressed || node instanceof HTMLButtonElement) labels.push(...[...node.labels].map(seen));
        const own = { button: 'button', submit: 'submit', reset: 'reset', image: said('alt') || 'submit' }[pressed && node.type] ?? '';
        names.push(...[own && (node.value || own), said('aria-label'), labels.join(' '), said('alt'), worded ? '' : node === control ? titled(node) : said('title'),
          node instanceof SVGTitleElement ? seen(node) : ''].map((name) => name.slice(0, 2 * LEAD)));
      }
      return JSON.stringify([...new Set(names.map((name) => name.replace(/\\s+/g, ' ').trim()))].filter(Boolean));
    },
    // What a key may choose next in a list, of which the page says that it acts on that at once
    choices: (root) => {
      const acts = (node) => node && ['onchange', 'oninput'].some((name) => Element.prototype.hasAttribute.call(node, name));
      const others = acts(root) || acts(root.form) ? [...root.options].filter((one) => !one.selected && !one.disabled) : [];
      return JSON.stringify(others.slice(0, MANY).map((one) => one.label.replace(/\\s+/g, ' ').slice(0, LEAD)));
    },
    framed: (root) => root instanceof HTMLIFrameElement ? 'yes' : '',
    // Playwright has listened first, and lets through only what is on its element
    presses: (root, snared) => {
      removeEventListener('click', clicking, true);
      clicked = null;
      clicking = (event) => { if (event.isTrusted) clicked = event; };
      addEventListener('click', clicking, true);
      removeEventListener('pointerdown', pressing, true);
      pressing = (event) => { if (event.isTrusted && (!snared || event.composedPath().includes(root))) globalThis.PRESSED(''); };
      if (typeof globalThis.PRESSED !== 'function') return '';
      addEventListener('pointerdown', pressing, true);
      return 'yes';
    },
    prevented: () => clicked?.defaultPrevented ? 'yes' : '',
    scroll: (root, to) => {
      const at = { top: 0, bottom: document.documentElement?.scrollHeight ?? 0 }[to] ?? scrollY + Number(to);
      scrollTo({ top: at, behavior: 'instant' });  // at once, also where the page asks for a smooth way
      return String(Math.round(scrollY));
    },
    hold: (root, key) => { globalThis.jarvisHeld = { key, root }; return ''; },
    links: () => {
      const found = [];
      for (const link of document.querySelectorAll('a[href]')) {
        if (found.length === LINKS) break;
        const text = (link.innerText ?? '').slice(0, LEAD).trim().slice(0, TEXT);
        if (text && /^https?:/.test(link.href)) found.push({ text, url: link.href.slice(0, URL_CHARS) });
      }
      return JSON.stringify(found);
    },
  };
  const query = (root, wanted) => {
    const [what, most, argument] = wanted.split(' ');
    const holder = new DOMParser().parseFromString('', 'text/html').body;
    holder.textContent = read[what](root, argument).slice(0, Number(most));
    return holder;
  };
  return { query, queryAll: (root, wanted) => [query(root, wanted)] };
})()"""
_CSS_ENGINE = (
    "({ query: (root, css) => root.querySelector(css), queryAll: (root, css) => [...root.querySelectorAll(css)] })"
)
_HELD_ENGINE = """(() => {
  // the element that was looked at, and no other: not one of another document, whose world holds none, nor one in its place
  const found = (key) => {
    const { key: its, root } = globalThis.jarvisHeld ?? {};
    return its === key && root.isConnected && root.ownerDocument === document ? [root] : [];
  };
  return { query: (_, key) => found(key)[0], queryAll: (_, key) => found(key) };
})()"""
_keys = itertools.count()
_WHOLE = 1_000_000  # of what is bounded by itself


async def add_engines(playwright: Playwright) -> None:
    """Make them known to a new driver. Raises PlaywrightError."""
    script = _ENGINE
    numbers = {
        "LINKS": MAX_LINKS,
        "LEAD": 2 * MAX_LINK_CHARS,
        "TEXT": MAX_LINK_CHARS,
        "URL_CHARS": MAX_URL_CHARS,
        "MANY": 1_000,
    }
    for name, value in {**numbers, "PRESSED": PRESSED}.items():
        script = script.replace(name, str(value))
    await playwright.selectors.register(ENGINE, script, content_script=True)
    await playwright.selectors.register(CSS_ENGINE, _CSS_ENGINE, content_script=True)
    await playwright.selectors.register(HELD_ENGINE, _HELD_ENGINE, content_script=True)


async def _read(
    root: Page | Frame | Locator, what: str, most: int = _WHOLE, argument: str = "", timeout_ms: float | None = None
) -> str:
    return await root.locator(f"{ENGINE}={what} {most} {argument}").text_content(timeout=timeout_ms) or ""


async def read_where(page: Page) -> dict[str, str]:
    """The page's current address and title."""
    return {"url": page.url[:MAX_URL_CHARS], "title": await _read(page, "title", MAX_TITLE_CHARS)}


async def read_text(root: Page | Locator, most: int, timeout_ms: float) -> tuple[str, bool]:
    """The text that is seen of a page or an element, and whether there is more of it. Raises Playwright's TimeoutError."""
    return await _read_text(root, "text", most, timeout_ms)


async def _read_text(root: Page | Frame | Locator, what: str, most: int, timeout_ms: float) -> tuple[str, bool]:
    text = await _read(root, what, 2 * most + 2, timeout_ms=timeout_ms)  # a character has up to two of JavaScript's
    return text[:most], len(text) > most


async def read_whole_text(page: Page, most: int, timeout_ms: float) -> tuple[str, bool]:
    """The text of a page and, behind it, of its frames, and whether there is more of it. Raises Playwright's TimeoutError."""
    frames = page.frames[1:]  # the first is the page
    found = [await read_text(page, most, timeout_ms)]
    found += await asyncio.gather(*(_read_frame(frame, most) for frame in frames[:MAX_FRAMES]))
    text = "\n\n".join(one for one, _ in found if one.strip())
    return text[:most], len(text) > most or len(frames) > MAX_FRAMES or any(more for _, more in found)


async def _read_frame(frame: Frame, most: int) -> tuple[str, bool]:
    """As of a page; of a frame that is gone or busy, there is more."""
    try:
        return await _read_text(frame, "frame", most, FRAME_MS)
    except PlaywrightError:
        return "", True


async def read_links(page: Page) -> list[dict[str, str]]:
    """The first links of the page, with text and address."""
    links: list[dict[str, str]] = json.loads(await _read(page, "links"))
    return links


async def is_filled(page: Page) -> bool:
    """True if there is anything in the page."""
    return bool(await _read(page, "filled"))


async def has_root(page: Page) -> bool:
    """True unless the page has no element at all, not even an empty one."""
    return bool(await _read(page, "root"))


def plain_css(selector: str) -> str:
    """A CSS selector that Chromium alone finds, by which nothing is climbed."""
    return f"{CSS_ENGINE}={selector}"


async def has_snares(page: Page | Frame) -> bool:
    """True if the page has forms in which Playwright's scripts climb without an end."""
    return bool(await _read(page, "snares"))


async def is_snared(element: Locator, timeout_ms: float) -> bool:
    """True if the element is in such a form. Raises Playwright's TimeoutError."""
    return bool(await _read(element, "snared", timeout_ms=timeout_ms))


async def is_free(element: Locator, timeout_ms: float) -> bool:
    """True if nothing keeps the mouse from the element, which is brought into view for that. Raises Playwright's TimeoutError."""
    return bool(await _read(element, "free", timeout_ms=timeout_ms))


async def tell_presses(element: Locator, timeout_ms: float, *, snared: bool) -> None:
    """Have the page tell `Signals.pressed` in the element's frame, if it can. Raises Playwright's TimeoutError.

    `snared`: Playwright does not look where the press is.
    """
    await _read(element, "presses", argument="snared" if snared else "", timeout_ms=timeout_ms)


async def read_value(field: Locator, timeout_ms: float) -> str:
    """What is written in the field. Raises Playwright's TimeoutError."""
    return await _read(field, "value", timeout_ms=timeout_ms)


async def is_secret(field: Locator, timeout_ms: float) -> bool:
    """True if the page does not show what is written in the field. Raises Playwright's TimeoutError."""
    return bool(await _read(field, "secret", timeout_ms=timeout_ms))


async def read_names(element: Locator, timeout_ms: float) -> list[str]:
    """What is on the element, or on the button or link that it is in; what is written there comes first. Raises Playwright's TimeoutError."""
    names: list[str] = json.loads(await _read(element, "names", timeout_ms=timeout_ms))
    return names


async def read_choices(select: Locator, timeout_ms: float) -> list[str]:
    """What a key may choose in a list that acts on that at once; empty for other lists. Raises Playwright's TimeoutError."""
    choices: list[str] = json.loads(await _read(select, "choices", timeout_ms=timeout_ms))
    return choices


async def hold(element: Locator, timeout_ms: float) -> Locator:
    """The element that is found now, which is never another one: it is gone when it is. Raises Playwright's TimeoutError."""
    key = str(next(_keys))
    await _read(element, "hold", argument=key, timeout_ms=timeout_ms)
    return frame_of(element).locator(f"{HELD_ENGINE}={key}")


def frame_of(element: Locator) -> Frame:
    """The frame in which the element is looked for."""
    its = element._impl_obj._frame  # noqa: SLF001
    return next((one for one in element.page.frames if one._impl_obj is its), element.page.main_frame)  # noqa: SLF001


async def is_frame(element: Locator, timeout_ms: float) -> bool:
    """True if another document is seen in the element. Raises Playwright's TimeoutError."""
    return bool(await _read(element, "framed", timeout_ms=timeout_ms))


async def is_wide(frame: Frame) -> bool:
    """False for a frame in which nothing can be seen."""
    return bool(await _read(frame, "wide"))


async def leads_to_download(element: Locator, timeout_ms: float) -> bool:
    """True if the element is in a link that names its address a download. Raises Playwright's TimeoutError."""
    return bool(await _read(element, "download", timeout_ms=timeout_ms))


async def is_prevented(element: Locator, timeout_ms: float) -> bool:
    """True if the page kept the last click, which `tell_presses` came before, from doing what a link does. Raises Playwright's TimeoutError."""
    return bool(await _read(element, "prevented", timeout_ms=timeout_ms))


async def scroll(page: Page, to: str | int) -> int:
    """Scroll to the `top` or `bottom`, or by so many pixels; returns how far down the page is now.

    Not by `evaluate`, which fails where the page has replaced what it needs.
    """
    return int(await _read(page, "scroll", argument=str(to)))
