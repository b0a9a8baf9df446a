#!/usr/bin/env bash
# The programs that some slow tests drive, from Debian's or Ubuntu's packages. Without them those tests skip and say so.
#   chromium, chromium-driver   the UI in a real browser
#   prometheus                  promtool, which checks the rules in bento/monitoring/
#   wrk                         load
#   postgresql                  a study shared by several processes; its server is started by the test itself
# usage: [sudo] scripts/install-test-tools.sh
set -euo pipefail
command -v apt-get >/dev/null || { echo "no apt-get here: install chromium, chromedriver, prometheus, wrk and postgresql by hand" >&2; exit 1; }
if command -v chromium >/dev/null && command -v chromedriver >/dev/null \
  && command -v promtool >/dev/null && command -v wrk >/dev/null \
  && compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# No start of a monitoring server as a side effect of wanting promtool.
policy=/usr/sbin/policy-rc.d
made_policy=false
if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; made_policy=true; fi
trap 'if $made_policy; then rm -f "$policy"; fi' EXIT
apt-get -qq install --yes --no-install-recommends chromium chromium-driver prometheus wrk postgresql >/dev/null
