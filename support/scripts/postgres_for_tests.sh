#!/usr/bin/env bash
# A PostgreSQL server for the tests: Debian's, in a folder of its own, reached by a socket in it.
#
#   postgres_for_tests.sh find         say where the server's programs are, or what to install
#   postgres_for_tests.sh install      get them from apt, when there are none and we are root
#   postgres_for_tests.sh run FOLDER   make a database in FOLDER (under a path that everybody may
#                                      enter, and short: it holds the socket) and serve until
#                                      the caller ends; user chef, password from PGPASSWORD
#
# Further arguments of `run` go to the server, e.g. -c fsync=off. It listens on no network, and as
# root it runs as the user "postgres" or "nobody": the server refuses to be root.
set -euo pipefail

find_programs() { # PostgreSQL's programs lie outside of PATH in Debian
  local folder
  for folder in /usr/lib/postgresql/*/bin "$(dirname "$(command -v initdb || echo /none/x)")"; do
    if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then
      echo "$folder"
      return 0
    fi
  done
  echo 'PostgreSQL is not installed. On Debian: sudo apt-get install postgresql' >&2
  return 1
}

install_server() {
  find_programs 2>/dev/null && return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    find_programs
    return 1
  fi
  # The package must not start a server of its own, and asks nobody whether that file may stay.
  export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] \
    || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get update -qq >&2
  apt-get install -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold postgresql >&2
  find_programs
}

run_server() {
  local folder=$1 programs as=()
  shift
  programs=$(find_programs)
  mkdir -p "$folder"
  if [ "$(id -u)" = 0 ]; then
    local user=nobody
    id postgres >/dev/null 2>&1 && user=postgres
    chown "$user" "$folder"
    as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
  fi
  cd "$folder"
  local password_file="$folder/password"
  (umask 077 && printf '%s\n' "${PGPASSWORD:?is the password of the user chef}" >"$password_file")
  [ "$(id -u)" = 0 ] && chown "$user" "$password_file"
  "${as[@]}" "$programs/initdb" --pgdata "$folder/data" --username chef --pwfile "$password_file" \
    --auth scram-sha-256 --encoding UTF8 --locale C --no-sync >"$folder/initdb.log" 2>&1 \
    || { cat "$folder/initdb.log" >&2; return 1; }
  rm -f "$password_file"
  # The caller's death is this server's.
  exec "${as[@]}" setpriv --pdeathsig QUIT "$programs/postgres" -D "$folder/data" \
    -k "$folder" -c listen_addresses= "$@"
}

case "${1:-}" in
  find) find_programs ;;
  install) install_server ;;
  run) shift; run_server "$@" ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
