#!/usr/bin/env bash
# Fetch a real workbench for the extension's tests: VS Code, as code-server runs it in a browser, with
# the Node.js that it needs, and chromium (from apt, as root; else it must be there).
#
#     setup_workbench.sh FOLDER
set -euo pipefail

VERSION=4.139.1
mkdir -p "$1"
folder=$(cd "$1" && pwd)
log=$folder/install.log

fetch() { npm install --no-audit --no-fund --ignore-scripts --silent "$@" >>"$log" 2>&1 || { tail -20 "$log"; exit 1; }; }

browser=${CODECHEF_CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$browser" ]; then
  [ "$(id -u)" = 0 ] && [ "$browser" = /usr/bin/chromium ] || {
    echo "There is no $browser: install chromium (on Debian: apt-get install chromium), or name a"
    echo 'browser of its kind in CODECHEF_CHROMIUM.'
    exit 1
  }
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install -y --no-install-recommends chromium fonts-dejavu-core; } >>"$log" 2>&1 \
    || { tail -20 "$log"; exit 1; }
fi
cd "$folder"
echo '{"private": true}' >package.json
# Its own installation script fetches the binary, which is what it is for.
npm install --no-audit --no-fund --silent node@24 >>"$log" 2>&1 || { tail -20 "$log"; exit 1; }
fetch "code-server@$VERSION"
# Its scripts would compile native modules that the tests do without.
cd node_modules/code-server/lib/vscode
fetch --omit=dev
cd extensions
fetch --omit=dev
