#!/bin/sh
# Install the natural speech engines into an environment that has the gateway: install.sh path/to/python
# If an engine cannot be installed, the script says in one line what replaces it, and the exit code is 0.
# With --strict as the second argument, the failure is shown and the exit code is not 0.
set -u
cd "$(dirname "$0")/../.." || exit 1
python=$1
strict=${2:-}

pip() { "$python" -m pip --disable-pip-version-check --quiet --retries 1 --timeout 30 install "$@"; }

# First the pinned package, by hash and without dependencies; the extra then finds it and installs the dependencies. The echo canceller
# is pinned by its version only, because it has a wheel for each platform.
engine() { pip --no-deps --require-hashes -r "deploy/engines/$1.txt" && pip "jarvis-gateway[$1]"; }

echo "installing the natural voice and the recogniser (once)…"
if [ "$strict" = --strict ]; then # both in one: each run of pip takes seconds
    pip --no-deps --require-hashes -r deploy/engines/voice.txt -r deploy/engines/ears.txt && pip "jarvis-gateway[echo,ears,voice]"
    exit $?
fi
if ! engine voice >/dev/null 2>&1; then
    if pip "jarvis-gateway[espeak]" >/dev/null 2>&1; then
        instead="eSpeak NG (GPL-3.0-or-later) speaks in its place"
    else
        instead="eSpeak NG could not be either, so nothing speaks"
    fi
    echo "the natural voice could not be installed: $instead; 'make speech' tries again"
fi
if ! engine ears >/dev/null 2>&1; then
    if "$python" -c "import pocketsphinx" >/dev/null 2>&1; then
        instead="the light one listens in its place"
    else
        instead="there is no light one here either, so nothing listens"
    fi
    echo "the natural recogniser could not be installed: $instead; 'make speech' tries again"
fi
if ! pip "jarvis-gateway[echo]" >/dev/null 2>&1; then
    echo "the echo canceller could not be installed: a reply that comes back into the microphone is told by its words alone; 'make speech' tries again"
fi
