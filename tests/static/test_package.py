"""The npm package as users get it: packed, installed in another folder, type-checked, bundled and run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.documents.typescript import render
from server.version import __version__
from tests.conftest import HANG_S
from tests.support.gateway import free_port

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "static"
README = (STATIC / "README.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```js\n(.*?)```", README, re.DOTALL)[0]
REACT = re.findall(r"```jsx\n(.*?)```", README, re.DOTALL)[0]
GOOD = """\
import { JarvisClient } from 'jarvis-client';
import type { ChannelKind, ClientOptions, Frame, JarvisError, TurnReply } from 'jarvis-client';
const options: ClientOptions = { userId: 'developer' };
const client = new JarvisClient('http://localhost', options);
const turn = client.open('turn', { text: 'hello', reply: 'text' });
turn.addEventListener('turn.reply', ({ detail }) => detail.text.toUpperCase());
const said = ({ text }: TurnReply): string => text;
const known = (kind: ChannelKind, frame: Frame, error: JarvisError) => [kind, frame.seq, error.code, said];
client.open('execute', { executor: 'os', action: 'ls' });
client.addEventListener('failed', ({ detail }) => detail.code);
"""
WRONG = [
    "client.open('turn', { txt: 'hello' });",
    "client.open('tts', { text: 'hello', reply: 'text' });",
    "client.open('execute', { executor: 'cook', action: 'fry' });",
    "client.open('telepathy', {});",
    "turn.addEventListener('turn.reply', ({ detail }) => detail.words);",
    "turn.addEventListener('turn.repl', () => undefined);",
]


def test_the_protocols_types_are_those_of_the_messages() -> None:
    text = (STATIC / "jarvis" / "protocol.d.ts").read_text(encoding="utf-8")
    assert text == render(), "run: python -m server.documents.typescript"


def test_the_package_has_the_gateways_version() -> None:
    assert json.loads((STATIC / "package.json").read_text())["version"] == __version__


def _run(*command: str | Path, folder: Path, fails: bool = False) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False, timeout=HANG_S
    )
    assert fails or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user's, with the packed package and the tools of tests/static/package.json."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("npm")
    shutil.copy(HERE / "package.json", folder)
    archive = _run("npm", "pack", "--silent", "--pack-destination", folder, STATIC, folder=folder).strip()
    _run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", f"./{archive}", folder=folder)
    return folder


def _tool(project: Path, name: str) -> Path:
    return project / "node_modules" / ".bin" / name


def test_it_packs_what_it_needs_and_nothing_else(project: Path) -> None:
    package = project / "node_modules" / "jarvis-client"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    code = {"jarvis-client.js", "jarvis/codec.js", "worklets/capture.js", "worklets/playout.js"}
    types = {"jarvis-client.d.ts"} | {f"jarvis/{name}.d.ts" for name in ("client", "codec", "index", "protocol")}
    assert files == code | types | {"package.json", "README.md"}


def test_the_types_are_those_of_the_source(project: Path, tmp_path: Path) -> None:
    """Made from the JSDoc in a folder without them: tsc would read the old ones instead of the scripts."""
    for name in ("jarvis-client.js", "jarvis/codec.js", "jarvis/client.d.ts", "jarvis/protocol.d.ts"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(STATIC / name, tmp_path / name)
    shutil.copy(HERE / "tsconfig.json", tmp_path)
    _run(_tool(project, "tsc"), "-p", tmp_path, folder=project)
    for name in ("jarvis-client.d.ts", "jarvis/codec.d.ts"):
        assert (tmp_path / "types" / name).read_text() == (STATIC / name).read_text(), f"copy {tmp_path}/types/{name}"


def test_a_wrong_field_does_not_compile(project: Path) -> None:
    options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom"]
    (project / "good.ts").write_text(GOOD)
    (project / "wrong.ts").write_text(GOOD + "\n".join(WRONG))
    told = _run(_tool(project, "tsc"), *options, "good.ts", "wrong.ts", folder=project, fails=True)
    found = {(file, int(line)) for file, line in re.findall(r"^(\S+)\((\d+),", told, re.MULTILINE)}
    begin = len(GOOD.splitlines()) + 1
    assert found == {("wrong.ts", line) for line in range(begin, begin + len(WRONG))}, told


def test_vite_finds_the_worklets(project: Path) -> None:
    (project / "index.html").write_text('<script type="module" src="./page.js"></script>')
    (project / "page.js").write_text(
        "import { Microphone, Speaker } from 'jarvis-client'; window.parts = [Microphone, Speaker];"
    )
    config = "export default { build: { assetsInlineLimit: 0 } };"
    (project / "vite.config.js").write_text(config)
    _run(_tool(project, "vite"), "build", "--outDir", "vite", folder=project)
    names = sorted(path.name.partition("-")[0] for path in (project / "vite" / "assets").iterdir())
    assert {"capture", "playout"} <= set(names)


def test_esbuild_bundles_it_and_leaves_the_worklets_beside(project: Path) -> None:
    (project / "hook.jsx").write_text(REACT + "export { Microphone, Speaker } from 'jarvis-client';\n")
    assert REACT.count("\n") <= 16
    command = [
        str(_tool(project, "esbuild")),
        "hook.jsx",
        "--bundle",
        "--format=esm",
        "--external:react",
        "--outdir=esbuild",
    ]
    _run(*command, folder=project)
    bundle = (project / "esbuild" / "hook.js").read_text()
    for url in re.findall(r'new URL\("(\./worklets/[a-z]+\.js)", import\.meta\.url\)', bundle):
        assert (project / "node_modules" / "jarvis-client" / url).is_file()
    assert bundle.count("./worklets/") == 2


def _node(project: Path, code: str) -> str:
    (project / "app.mjs").write_text(code)
    return _run(shutil.which("node") or "node", "app.mjs", folder=project)


def _with_ws(example: str) -> str:
    return "import { WebSocket } from 'ws';\n" + example.replace("{ userId:", "{ webSocket: WebSocket, userId:")


def test_the_example_runs_in_node(project: Path, gateway: GatewayProcess) -> None:
    said = _node(project, _with_ws(EXAMPLE.replace("http://127.0.0.1:8000", gateway.base)))
    assert "intent: 'get_time'" in said
    assert "It is" in said


REACT_APP = """\
import { createElement } from 'react';
import { act, create } from 'react-test-renderer';
import { WebSocket } from 'ws';
import { useJarvis } from './hook.jsx';

const states = [];
let client;
function App() {
  const jarvis = useJarvis('URL', { userId: 'developer', webSocket: WebSocket });
  client = jarvis.client;
  states.push(jarvis.state);
  return null;
}
globalThis.IS_REACT_ACT_ENVIRONMENT = true;
const app = await act(() => create(createElement(App)));
while (states.at(-1) !== 'online') await act(() => new Promise((resolve) => { setTimeout(resolve, 20); }));
const { intent } = await client.current.call('agent.intent', { text: 'what time is it' });
const left = client.current;
await act(() => app.unmount());
console.log([...new Set(states)].join(), intent, left.state);
"""


def test_the_react_hook_is_rendered_connects_and_leaves(project: Path, gateway: GatewayProcess) -> None:
    (project / "hook.jsx").write_text(REACT)
    (project / "app.jsx").write_text(REACT_APP.replace("URL", gateway.base))
    command: list[str | Path] = [
        _tool(project, "esbuild"),
        "app.jsx",
        "--bundle",
        "--format=esm",
        "--platform=node",
        "--packages=external",
    ]
    _run(*command, "--outfile=app-of-react.mjs", folder=project)
    said = _run(shutil.which("node") or "node", "app-of-react.mjs", folder=project)
    assert "idle,connecting,online get_time closed" in said.splitlines()


CONNECT = """\
import { WebSocket } from 'ws';
import { JarvisClient } from 'jarvis-client';
const client = new JarvisClient('URL', { webSocket: WebSocket, token: 'TOKEN' });
await client.connect().catch((error) => console.log(error.name, error.code, client.state));
"""


@pytest.mark.parametrize(("url", "code"), [("http://127.0.0.1:{free}", "UNREACHABLE"), ("http://", "INVALID_URL")])
def test_a_gateway_that_is_not_there_is_told(project: Path, url: str, code: str) -> None:
    said = _node(project, CONNECT.replace("URL", url.format(free=free_port()), 1))
    assert said == f"JarvisError {code} failed\n"


def test_a_wrong_token_is_told(project: Path, gateway: GatewayProcess) -> None:
    said = _node(project, CONNECT.replace("'URL'", f"'{gateway.base}'").replace("'TOKEN'", "'not.a.token'"))
    assert said == "JarvisError UNAUTHENTICATED failed\n"


def test_a_runtime_without_websockets_is_told(project: Path) -> None:
    said = _node(
        project,
        "delete globalThis.WebSocket;\n"
        + CONNECT.replace("webSocket: WebSocket, ", "").replace("'URL'", "'localhost'"),
    )
    assert said == "JarvisError NO_WEBSOCKET failed\n"
