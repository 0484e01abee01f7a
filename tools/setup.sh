#!/usr/bin/env bash
# Installs what tools/packages.txt lists and is missing, then the jars of the test broker.
# Idempotent, and quick when nothing is missing. Works as root and with sudo.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

mapfile -t wanted < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' tools/packages.txt)
missing=()
for package in "${wanted[@]}"; do
    state=$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    [[ $state == ii* ]] || missing+=("$package")
done

if [ "${#missing[@]}" -gt 0 ]; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            printf 'setup: neither root nor sudo; install by hand: apt-get install %s\n' \
                "${missing[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    printf 'setup: installing %s\n' "${missing[*]}"
    apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } \
        </dev/null >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        printf 'setup: apt-get failed; see above\n' >&2
        exit 1
    fi
fi
printf 'setup: %d packages present, %d of them installed now\n' "${#wanted[@]}" "${#missing[@]}"

/usr/bin/python3 tools/kafka_install.py
