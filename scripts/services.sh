#!/usr/bin/env bash
# Brings up the PostgreSQL and the RabbitMQ that Purser runs and is tested on.
# Not for production: one machine, loopback only, data that `wipe` may delete.

set -euo pipefail
# Letters, digits and messages mean the same whoever runs this.
export LC_ALL=C

usage() {
  cat <<'TEXT'
Usage: scripts/services.sh [VERB]

  up                        start PostgreSQL and RabbitMQ, write .local/env (the default verb)
  down                      stop them, keep their data
  status                    say what runs where; exit code 3 if something does not
  kill postgres|rabbitmq    end one at once with SIGKILL, as a crash would (RabbitMQ 3.10 then loses
                            quorum queues that were declared less than about a second before)
  start postgres|rabbitmq   start one again, wait until it is ready
  logs                      say where the logs are
  ctl ARGUMENT...           rabbitmqctl on the local RabbitMQ, for instance `ctl list_queues`
  wipe                      stop them and delete their data

Where they come from, for each of the two, the first that applies:
  1. DATABASE_URL or AMQP_URL is set: that server is used and never started or stopped from here
  2. a Docker engine answers: docker-compose.yml (services postgres and rabbitmq)
     clones of this project on one engine share them, and so does `docker compose up`;
     COMPOSE_PROJECT_NAME=NAME makes others
  3. local programs, installed with apt-get if they are missing and this user may do so;
     own data and own ports, so servers of the system are neither used nor disturbed

Environment:
  PURSER_SERVICES=local|docker|given   forces the way; `given` insists on both URLs
  PURSER_INSTANCE=NAME                 another, independent pair of servers, kept in .local/NAME;
                                       DATABASE_URL and AMQP_URL are ignored then, unless `given`
  POSTGRES_SHARED_BUFFERS=SIZE         PostgreSQL's buffers, 1GB unless set: less where memory is scarce
TEXT
}

# The first ports to try. They are neither the servers' usual ones nor in the range from which
# Linux takes the ports of outgoing connections (32768 and up), so they are free almost always.
readonly POSTGRES_PORT_FIRST=21432
readonly AMQP_PORT_FIRST=21672
readonly POSTGRES_VERSION_MIN=15
# As docker-compose.yml has it. Taken as it is used; with less than the indexes need, each batch evicts what the next one wants.
readonly POSTGRES_SHARED_BUFFERS=${POSTGRES_SHARED_BUFFERS:-1GB}
readonly READY_SECONDS_MAX=120
readonly STOP_SECONDS_MAX=60
readonly LOG_BYTES_MAX=20000000
readonly OPEN_FILES_MAX=65536
readonly POLICY_FILE=/usr/sbin/policy-rc.d
readonly POLICY_MARK='# Temporary: an installation by services.sh of Purser starts no servers. Process '
readonly CLUSTER_FILE=/etc/postgresql-common/createcluster.conf

# --- Where things are --------------------------------------------------------------------------

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
LOCAL=$ROOT/.local
INSTANCE=${PURSER_INSTANCE:-}
HERE=$LOCAL${INSTANCE:+/$INSTANCE}
WAY_FORCED=${PURSER_SERVICES:-}
DATA='' # Known after `find_data`.

POSTGRES_BIN='' POSTGRES_USER_NAME=''
RABBITMQ_SBIN='' RABBITMQ_USER_NAME=''

# Kept in $HERE/state.
WAY='' POSTGRES_PORT='' AMQP_PORT='' DIST_PORT='' EPMD_PORT=''
# Kept beside the data they open.
POSTGRES_ADMIN_PASSWORD='' POSTGRES_OWN_PASSWORD='' RABBITMQ_OWN_PASSWORD=''

main() {
  local verb=${1:-up}
  [[ $# -eq 0 ]] || shift
  check_settings
  # A folder that every user may be in: the servers' user often may not enter the project's.
  cd /
  trap on_exit EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP

  case $verb in
    up) lock && up ;;
    down) lock && down ;;
    status) status ;;
    kill) check_service "${1:-}" && lock && kill_now "$1" ;;
    start) check_service "${1:-}" && lock && start_again "$1" ;;
    logs) logs ;;
    ctl) ctl "$@" ;;
    wipe) lock && wipe ;;
    -h | --help | help) usage ;;
    *) usage >&2 && die "unknown verb: $verb" ;;
  esac
}

check_settings() {
  case $WAY_FORCED in
    '' | local | docker | given) ;;
    *) die "PURSER_SERVICES must be local, docker or given, not '$WAY_FORCED'" ;;
  esac
  # These names are taken by the default instance's own files.
  case $INSTANCE in
    data | log | env | state | lock) die "PURSER_INSTANCE must not be '$INSTANCE'" ;;
  esac
  if [[ -n $INSTANCE ]]; then
    [[ $INSTANCE =~ ^[A-Za-z0-9][A-Za-z0-9-]{0,30}$ ]] ||
      die "PURSER_INSTANCE must be letters, digits and dashes, not '$INSTANCE'"
  fi
  if [[ -n $INSTANCE && $WAY_FORCED != given ]]; then
    unset DATABASE_URL AMQP_URL
  fi
  # Whatever the caller set for other servers must not reach these.
  local name
  for name in $(compgen -e); do
    case $name in
      PG* | RABBITMQ_NODE* | RABBITMQ_CONF* | ERL_*) unset "$name" ;;
    esac
  done
}

check_service() {
  case $1 in
    postgres | rabbitmq) ;;
    *) die "name one: postgres or rabbitmq" ;;
  esac
}

# --- Verbs -------------------------------------------------------------------------------------

up() {
  local began needed=() service
  began=$(now)
  load_state
  if [[ -n ${DATABASE_URL:-} ]]; then check_given PostgreSQL DATABASE_URL; else needed+=(postgres); fi
  if [[ -n ${AMQP_URL:-} ]]; then check_given RabbitMQ AMQP_URL; else needed+=(rabbitmq); fi

  if [[ $WAY_FORCED == given && ${#needed[@]} -gt 0 ]]; then
    die "PURSER_SERVICES=given needs both DATABASE_URL and AMQP_URL"
  fi
  if [[ ${#needed[@]} -gt 0 ]]; then
    choose_way
    case $WAY in
      docker) docker_up "${needed[@]}" ;;
      local)
        install_missing "${needed[@]}"
        find_data create
        # Their ports went with a deleted .local.
        if [[ ! -e $HERE/state ]]; then stop_all >/dev/null; fi
        save_state
        # Both are launched before either is waited for: RabbitMQ takes seconds to boot.
        for service in rabbitmq postgres; do
          if [[ " ${needed[*]} " == *" $service "* ]]; then launch "$service"; fi
        done
        for service in "${needed[@]}"; do await "$service"; done
        ;;
    esac
  fi
  write_env
  say "up in $(since "$began"); 'source ${HERE#"$ROOT"/}/env' sets DATABASE_URL and AMQP_URL"
}

down() {
  load_state
  find_data
  # Only these two: Purser itself, if it runs in a container beside them, waits for them.
  if [[ $WAY == docker ]]; then docker_down stop postgres rabbitmq; fi
  if [[ $WAY != docker || -n $DATA ]]; then stop_all; fi
}

wipe() {
  load_state
  find_data
  if [[ $WAY == docker ]]; then
    # The data are volumes of the engine, which only it can delete.
    docker_answers || die "no Docker engine answers, so the data in its volumes cannot be deleted" \
      "start it, or delete ${HERE#"$ROOT"/} by hand and leave the volumes"
    docker_down down --volumes
  fi
  if [[ $WAY != docker || -n $DATA ]]; then stop_all; fi
  # Only folders this script made itself.
  if [[ -n $DATA && ( $DATA == "$HERE/data" || $DATA == /var/lib/purser-* ) ]]; then rm -rf "$DATA"; fi
  rm -rf "$HERE/data" "$HERE/log" "$HERE/env" "$HERE/state"
  if [[ -n $INSTANCE ]]; then rm -rf "$HERE"; fi
  say "data deleted"
}

status() {
  local missing=0 in_containers=''
  load_state
  find_data
  if [[ $WAY == docker ]]; then in_containers=$(docker_running); fi
  if [[ -n ${DATABASE_URL:-} ]]; then
    say "PostgreSQL is given by DATABASE_URL: $(without_password "$DATABASE_URL")"
  elif [[ $in_containers == *" postgres "* ]]; then
    say "PostgreSQL runs on $(postgres_address) (a container of Compose project $(project_name))"
  elif [[ -n $(postgres_pid) ]]; then
    say "PostgreSQL runs on $(postgres_address) (pid $(postgres_pid))"
  else
    say "PostgreSQL does not run" && missing=1
  fi
  if [[ -n ${AMQP_URL:-} ]]; then
    say "RabbitMQ is given by AMQP_URL: $(without_password "$AMQP_URL")"
  elif [[ $in_containers == *" rabbitmq "* ]]; then
    say "RabbitMQ runs on $(rabbitmq_address) (a container of Compose project $(project_name))"
  elif [[ -n $(rabbitmq_pid) ]]; then
    say "RabbitMQ runs on $(rabbitmq_address) (pid $(rabbitmq_pid), node $(node_name))"
  else
    say "RabbitMQ does not run" && missing=1
  fi
  if [[ -n $DATA ]]; then say "data: $DATA"; fi
  if ((missing)); then exit 3; fi
}

kill_now() {
  local service=$1 began pids
  began=$(now)
  load_state
  find_data
  if [[ $WAY == docker ]]; then
    [[ $(docker_running) == *" $service "* ]] || die "$(title "$service") does not run here; nothing to kill"
    compose kill --signal SIGKILL "$service" >&2
  else
    pids=$(pids_of "$service")
    [[ -n $pids ]] || die "$(title "$service") does not run here; nothing to kill"
    signal KILL "$service"
    await_end "$service" || die "$(title "$service") survived SIGKILL"
  fi
  say "$(title "$service") killed ($(since "$began"))"
}

start_again() {
  local service=$1
  load_state
  if [[ $WAY == docker ]]; then
    docker_up "$service"
    write_env
    return
  fi
  [[ $WAY == local ]] || die "nothing was started here before; run: scripts/services.sh up"
  install_missing "$service"
  find_data create
  launch "$service"
  await "$service"
  write_env
}

logs() {
  load_state
  if [[ $WAY == docker ]]; then
    say "docker compose --project-name $(project_name) logs --follow postgres rabbitmq"
  else
    say "PostgreSQL: $HERE/log/postgres.log"
    say "RabbitMQ:   $HERE/log/rabbitmq.log"
    say "follow both with: tail -F $HERE/log/*.log"
  fi
}

ctl() {
  load_state
  if [[ $WAY == docker ]]; then
    compose exec rabbitmq rabbitmqctl "$@"
    return
  fi
  find_programs
  find_data
  [[ -n $(rabbitmq_pid) ]] || die "RabbitMQ does not run here"
  rabbitmq_env "$RABBITMQ_SBIN/rabbitmqctl" --node "$(node_name)" "$@"
}

# --- Servers of somebody else ------------------------------------------------------------------

# A shell that sourced .local/env hands our own URLs back: those are not "given". The port does not
# count, it may have changed since.
forget_own_urls() {
  [[ -n $WAY && $WAY_FORCED != given ]] || return 0
  local own
  own=$(own_database_url)
  if [[ ${DATABASE_URL:-} == "${own%:*}":* ]]; then unset DATABASE_URL; fi
  own=$(own_amqp_url)
  if [[ ${AMQP_URL:-} == "${own%:*}":* ]]; then unset AMQP_URL; fi
}

check_given() {
  local name=$1 variable=$2 url=${!2} rest host port deadline
  rest=${url#*://}
  rest=${rest##*@}
  rest=${rest%%[/?]*}
  host=${rest%:*}
  port=${rest##*:}
  if [[ $rest != *:* || $rest == *"]" ]]; then
    host=$rest
    case $url in
      postgres*) port=5432 ;;
      amqps:*) port=5671 ;;
      *) port=5672 ;;
    esac
  fi
  host=${host#"["}
  host=${host%"]"}
  if [[ -z $host || ! $port =~ ^[0-9]+$ ]]; then
    say "$name: $variable is used as it is ($(without_password "$url"))"
    return
  fi
  # A container beside this one may still be starting.
  deadline=$((SECONDS + 30))
  until answers "$host" "$port"; do
    ((SECONDS < deadline)) ||
      die "$name: nothing answers at $host:$port, which $variable names" \
        "start it, or unset $variable to have one started here"
    sleep 0.5
  done
  say "$name: $variable is used ($(without_password "$url"))"
}

# --- Docker ------------------------------------------------------------------------------------

docker_answers() {
  command -v docker >/dev/null && docker compose version >/dev/null 2>&1 && timeout 20 docker info >/dev/null 2>&1
}

choose_way() {
  local before=$WAY
  case $WAY_FORCED in
    docker)
      docker_answers || die "PURSER_SERVICES=docker, but no Docker engine with Compose answers"
      WAY=docker
      ;;
    local) WAY=local ;;
    *)
      # What was used before stays, so that data does not move unasked.
      if [[ $before == docker ]] && ! docker_answers; then
        say "no Docker engine answers any more: local programs are used, with data of their own"
        WAY=local
        before=
      elif [[ -z $before ]]; then
        WAY=local
        if docker_answers; then WAY=docker; fi
      fi
      ;;
  esac
  if [[ -n $before && $before != "$WAY" ]]; then
    say "changing from $before to $WAY"
    find_data
    if [[ $before == docker ]]; then docker_down stop postgres rabbitmq; else stop_all; fi
  fi
}

project_name() {
  printf '%s%s' "${COMPOSE_PROJECT_NAME:-purser}" "${INSTANCE:+-${INSTANCE,,}}"
}

compose() {
  POSTGRES_PORT=$POSTGRES_PORT AMQP_PORT=$AMQP_PORT RABBITMQ_MANAGEMENT_PORT=$DIST_PORT \
    docker compose --project-directory "$ROOT" --file "$ROOT/docker-compose.yml" \
    --project-name "$(project_name)" "$@"
}

docker_up() {
  local began
  began=$(now)
  POSTGRES_PORT=$(docker_port postgres 5432 "$POSTGRES_PORT")
  AMQP_PORT=$(docker_port rabbitmq 5672 "$AMQP_PORT")
  DIST_PORT=$(docker_port rabbitmq 15672 "$DIST_PORT")
  save_state
  say "starting with Docker Compose: $*"
  compose up --detach --wait "$@" >&2 || {
    compose logs --tail 30 "$@" >&2 || true
    die "Docker Compose could not start: $*" "PURSER_SERVICES=local uses local programs instead"
  }
  say "$* ready in containers ($(since "$began"))"
}

# The services that run, each between spaces.
docker_running() {
  printf ' %s ' "$(compose ps --services --status running 2>/dev/null | tr '\n' ' ')"
}

# Where a container is published now, or else where it shall be.
docker_port() {
  local port
  port=$(compose port "$1" "$2" 2>/dev/null | sed 's/.*://') || true
  if [[ ! $port =~ ^[1-9] ]]; then
    port=$3
    if answers 127.0.0.1 "$port"; then port=$(free_port $((port + 1))); fi
  fi
  echo "$port"
}

docker_down() {
  if docker_answers; then
    compose "$@" >&2
    say "containers stopped"
  else
    say "no Docker engine answers; its containers cannot run either"
  fi
}

# --- Programs ----------------------------------------------------------------------------------

find_programs() {
  local candidate version made_by='' best=0
  if [[ -r $HERE/data/postgres-version ]]; then made_by=$(<"$HERE/data/postgres-version"); fi
  for candidate in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
    [[ -x $candidate/postgres && -x $candidate/initdb && -x $candidate/psql ]] || continue
    version=${candidate%/bin}
    version=${version##*[/-]}
    [[ $version =~ ^[0-9]+$ ]] || continue
    if ((version < POSTGRES_VERSION_MIN)); then continue; fi
    # The newest, but existing data can only be opened by the version that made them.
    if [[ $version == "$made_by" ]]; then version=999; fi
    if ((version > best)); then
      best=$version
      POSTGRES_BIN=$candidate
    fi
  done
  # Not the wrapper in /usr/sbin: that one insists on the system's user, folders and node.
  if command -v erl >/dev/null && command -v epmd >/dev/null; then
    for candidate in /usr/lib/rabbitmq/bin /opt/rabbitmq*/sbin /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin; do
      if [[ -x $candidate/rabbitmq-server ]]; then RABBITMQ_SBIN=$candidate; fi
    done
  fi
}

install_missing() {
  local service packages=()
  find_programs
  for service in "$@"; do
    case $service in
      postgres) [[ -n $POSTGRES_BIN ]] || packages+=(postgresql) ;;
      rabbitmq) [[ -n $RABBITMQ_SBIN ]] || packages+=(rabbitmq-server) ;;
    esac
  done
  if [[ ${#packages[@]} -gt 0 ]]; then
    apt_install "${packages[@]}"
    find_programs
  fi
  if [[ " $* " == *" postgres "* && -z $POSTGRES_BIN ]]; then
    die "the PostgreSQL that apt-get installs is older than $POSTGRES_VERSION_MIN, which Purser needs" \
      "install a newer one (apt.postgresql.org has them), or set DATABASE_URL"
  fi
  if [[ " $* " == *" rabbitmq "* && -z $RABBITMQ_SBIN ]]; then
    die "RabbitMQ was installed, but its programs are not where they are expected" "set AMQP_URL instead"
  fi
}

apt_install() {
  local began log=$HERE/log/install.log sudo=() packages=("$@") erlang_was_there=1
  if ! command -v apt-get >/dev/null || { ((EUID != 0)) && ! sudo -n true 2>/dev/null; }; then
    die "missing here, and this user may not install: $*" \
      "install it:     sudo apt-get install $*" \
      "or start Docker, so that containers can be used" \
      "or use your own: export DATABASE_URL=postgres://USER:PASSWORD@HOST:5432/DATABASE AMQP_URL=amqp://USER:PASSWORD@HOST:5672/%2f"
  fi
  if ((EUID != 0)); then sudo=(sudo -n); fi

  began=$(now)
  say "installing with apt-get: $* (log: ${log#"$ROOT"/})"
  make_folders
  [[ -d /usr/lib/erlang ]] || erlang_was_there=0
  forbid_starts
  if ! "${sudo[@]}" apt-get update >"$log" 2>&1; then
    say "apt-get update failed; going on with the package lists of before"
  fi
  if [[ " $* " == *" postgresql "* ]]; then
    # First the common part, which brings the file that says whether to create a system cluster.
    apt_get postgresql-common || apt_failed "$@"
    forbid_cluster
  fi
  apt_get "${packages[@]}" || apt_failed "$@"
  allow_starts
  # The packages want their servers started at boot. Nobody asked for those.
  if [[ " $* " == *" rabbitmq-server "* ]] && command -v systemctl >/dev/null; then
    "${sudo[@]}" systemctl disable rabbitmq-server.service >>"$log" 2>&1 || true
    if ((!erlang_was_there)); then
      "${sudo[@]}" systemctl disable epmd.service epmd.socket >>"$log" 2>&1 || true
    fi
  fi
  say "installed: $* ($(since "$began")); the system's own servers were not started"
}

apt_get() {
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends --no-upgrade \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@" </dev/null >>"$log" 2>&1
}

apt_failed() {
  tail -n 20 "$log" >&2
  die "apt-get could not install: $*" "see $log; or set DATABASE_URL and AMQP_URL to servers of your own"
}

# Debian's packages start their servers when they are installed, unless this file says no.
forbid_starts() {
  if [[ ! -e $POLICY_FILE ]]; then
    printf '#!/bin/sh\n%s%s\nexit 101\n' "$POLICY_MARK" $$ | "${sudo[@]}" tee "$POLICY_FILE" >/dev/null
    "${sudo[@]}" chmod 755 "$POLICY_FILE"
  fi
}

forbid_cluster() {
  if [[ -f $CLUSTER_FILE ]]; then
    "${sudo[@]}" cp -p "$CLUSTER_FILE" "$CLUSTER_FILE.before-$$"
    echo 'create_main_cluster = false' | "${sudo[@]}" tee -a "$CLUSTER_FILE" >/dev/null
  fi
}

# Also run when the script is interrupted; and it undoes what a killed run left behind, which the
# number of its process tells.
allow_starts() {
  local sudo=() process copy
  if ((EUID != 0)); then sudo=(sudo -n); fi
  if [[ -r $POLICY_FILE ]]; then
    process=$(sed -n "s/^$POLICY_MARK//p" "$POLICY_FILE")
    if [[ -n $process && ( $process == "$$" || ! -d /proc/$process ) ]]; then
      "${sudo[@]}" rm -f "$POLICY_FILE" || true
    fi
  fi
  for copy in "$CLUSTER_FILE".before-*; do
    process=${copy##*-}
    if [[ -e $copy && ( $process == "$$" || ! -d /proc/$process ) ]]; then
      "${sudo[@]}" mv "$copy" "$CLUSTER_FILE" || true
    fi
  done
}

# --- State -------------------------------------------------------------------------------------

# One lock for all instances of a project: they must not choose the same ports.
lock() {
  make_folders
  exec 9>>"$LOCAL/lock"
  keep_owner "$LOCAL/lock"
  if ! flock --nonblock 9; then
    say "waiting for another services.sh to finish"
    flock 9
  fi
}

make_folders() {
  if [[ -d $LOCAL && ! -w $LOCAL ]]; then
    die "$LOCAL belongs to $(stat -c %U "$LOCAL"); run this as that user"
  fi
  local folder
  for folder in "$LOCAL" "$HERE" "$HERE/log"; do
    if [[ ! -d $folder ]]; then
      mkdir "$folder"
      keep_owner "$folder"
      # The servers' user must be able to pass, whatever the caller's umask is.
      chmod 755 "$folder"
    fi
  done
}

load_state() {
  # shellcheck source=/dev/null
  if [[ -r $HERE/state ]]; then source "$HERE/state"; fi
  # shellcheck source=/dev/null
  if [[ -r $HERE/data/passwords ]]; then source "$HERE/data/passwords"; fi
  if [[ -z $POSTGRES_PORT || -z $AMQP_PORT || -z $DIST_PORT || -z $EPMD_PORT ]]; then choose_ports; fi
  forget_own_urls
}

save_state() {
  local name
  for name in WAY POSTGRES_PORT AMQP_PORT DIST_PORT EPMD_PORT; do
    printf '%s=%q\n' "$name" "${!name}"
  done | write_private "$HERE/state"
}

write_private() {
  (umask 077 && cat >"$1.new")
  keep_owner "$1.new"
  mv -f "$1.new" "$1"
}

# What root makes in a project folder of somebody else's is theirs.
keep_owner() {
  if ((EUID == 0)); then chown --reference="$ROOT" "$1"; fi
}

choose_ports() {
  local shift=0 hash
  if [[ -n $INSTANCE ]]; then
    # By its folder, not by its name: the same instance of another copy of the project would take the ports of a server that was killed.
    hash=$(printf %s "$HERE" | cksum | cut -d ' ' -f 1)
    shift=$((10 * (1 + hash % 20) + 500 * (hash / 20 % 22)))
  fi
  # Cleared first, so that a port of before is not taken for another's.
  POSTGRES_PORT='' AMQP_PORT='' DIST_PORT='' EPMD_PORT=''
  POSTGRES_PORT=$(free_port $((POSTGRES_PORT_FIRST + shift)))
  AMQP_PORT=$(free_port $((AMQP_PORT_FIRST + shift)))
  DIST_PORT=$(free_port $((AMQP_PORT + 1)))
  EPMD_PORT=$(free_port $((DIST_PORT + 1)))
}

# The first port from here on that nobody listens on and that is not meant for something else.
free_port() {
  local port=$1 remembered
  remembered=" $POSTGRES_PORT $AMQP_PORT $DIST_PORT $EPMD_PORT $(
    for file in "$LOCAL/state" "$LOCAL"/*/state; do
      if [[ -r $file && $file != "$HERE/state" ]]; then sed -n 's/.*_PORT=//p' "$file" | tr '\n' ' '; fi
    done
  ) "
  while answers 127.0.0.1 "$port" || [[ $remembered == *" $port "* ]]; do port=$((port + 1)); done
  echo "$port"
}

# Makes sure that a port we are about to listen on is not somebody else's.
claim_port() {
  local variable=$1 what=$2 port=${!1}
  if answers 127.0.0.1 "$port"; then
    printf -v "$variable" %s "$(free_port $((port + 1)))"
    say "port $port is taken by something else: $what uses ${!variable} from now on"
    save_state
  fi
}

# The data lie in .local/data, or where that leads to: as root the servers run as another user,
# who may not be able to enter the project's folder (a home, say).
find_data() {
  local create=${1:-} link=$HERE/data elsewhere
  elsewhere=/var/lib/purser-$(printf %s "$HERE" | sha256sum | cut -c 1-12)
  if ((EUID == 0)); then
    POSTGRES_USER_NAME=$(server_user "$link/postgres" postgres)
    RABBITMQ_USER_NAME=$(server_user "$link/rabbitmq" rabbitmq)
  fi
  if [[ -L $link && -e $link ]] && is_a_copy; then
    say "this folder is a copy of $(<"$link/belongs-to"): it gets data of its own"
    rm "$link"
  fi
  if [[ $create == create ]]; then
    if [[ -L $link && ! -e $link ]]; then rm "$link"; fi
    if [[ ! -e $link ]]; then
      mkdir "$link"
      keep_owner "$link"
      chmod 711 "$link"
    fi
    if [[ ! -L $link ]] && ! is_usable "$link"; then
      ((EUID == 0)) || die "RabbitMQ cannot work in a folder with such a name: $HERE" \
        "move the project, or set AMQP_URL to a RabbitMQ of your own"
      if [[ -d $elsewhere ]]; then rmdir "$link"; else mv -T "$link" "$elsewhere"; fi
      ln -s "$elsewhere" "$link"
      say "the servers cannot work in $HERE/data: their data go to $elsewhere"
    fi
    DATA=$(readlink -f "$link")
    printf '%s\n' "$HERE" >"$DATA/belongs-to"
    keep_owner "$DATA/belongs-to"
    make_passwords
  elif [[ -e $link ]]; then
    DATA=$(readlink -f "$link")
  fi
}

# Two project folders lead to the same data: the one they were made for still does.
is_a_copy() {
  local owner
  owner=$(<"$HERE/data/belongs-to") || return 1
  [[ $owner != "$HERE" && $owner/data -ef $HERE/data ]]
}

server_user() {
  local folder=$1 preferred=$2 owner
  # Whose data they are, or else whose project it is.
  for folder in "$folder" "$HERE"; do
    [[ -d $folder/ ]] || continue
    owner=$(stat -L -c %U "$folder")
    if [[ $owner != root && $owner != UNKNOWN ]]; then
      echo "$owner"
      return
    fi
  done
  # The user that a package created for its server, else the one that owns nothing.
  if id "$preferred" >/dev/null 2>&1; then echo "$preferred"; else echo nobody; fi
}

# Where both servers' users may pass and RabbitMQ can work: it hangs at its start in a folder with,
# say, an apostrophe in the name.
is_usable() {
  [[ -n ${AMQP_URL:-} || $1 =~ ^[A-Za-z0-9\ ._/@+-]+$ ]] &&
    as_user "$POSTGRES_USER_NAME" test -x "$1" && as_user "$RABBITMQ_USER_NAME" test -x "$1"
}

make_passwords() {
  if [[ ! -e $DATA/passwords ]]; then
    printf '%s=%s\n' POSTGRES_ADMIN_PASSWORD "$(random_word)" POSTGRES_OWN_PASSWORD "$(random_word)" \
      RABBITMQ_OWN_PASSWORD "$(random_word)" | write_private "$DATA/passwords"
  fi
  # shellcheck source=/dev/null
  source "$DATA/passwords"
}

random_word() {
  od -A n -N 16 -t x1 /dev/urandom | tr -d ' \n'
}

write_env() {
  {
    echo '# Written by scripts/services.sh. Holds passwords: not for version control.'
    printf "export DATABASE_URL=%s\n" "$(quoted "${DATABASE_URL:-$(own_database_url)}")"
    printf "export AMQP_URL=%s\n" "$(quoted "${AMQP_URL:-$(own_amqp_url)}")"
  } | write_private "$HERE/env"
}

own_database_url() {
  local password=$POSTGRES_OWN_PASSWORD
  if [[ $WAY == docker ]]; then password=$(url_encoded "${POSTGRES_PASSWORD:-purser}"); fi
  echo "postgres://purser:$password@127.0.0.1:$POSTGRES_PORT/purser"
}

own_amqp_url() {
  local password=$RABBITMQ_OWN_PASSWORD
  if [[ $WAY == docker ]]; then password=$(url_encoded "${RABBITMQ_PASSWORD:-purser}"); fi
  echo "amqp://purser:$password@127.0.0.1:$AMQP_PORT/%2f"
}

quoted() {
  printf "'%s'" "${1//\'/\'\\\'\'}"
}

url_encoded() {
  local text=$1 index letter code
  for ((index = 0; index < ${#text}; index++)); do
    letter=${text:index:1}
    case $letter in
      [A-Za-z0-9._~-]) printf %s "$letter" ;;
      *)
        printf -v code %d "'$letter"
        printf '%%%02X' $((code & 255))
        ;;
    esac
  done
}

# --- Starting and stopping ---------------------------------------------------------------------

launch() {
  local service=$1 log=$HERE/log/$1.log
  if [[ -n $("${service}_pid") ]]; then
    ALREADY[$service]=1
    # A node goes on without its port mapper, but rabbitmqctl does not find it; it signs on to a new one.
    if [[ $service == rabbitmq ]]; then start_epmd; fi
    return
  fi
  LAUNCHED_AT[$service]=$(now)
  if [[ -f $log && $(stat -c %s "$log") -gt $LOG_BYTES_MAX ]]; then mv -f "$log" "$log.1"; fi
  "launch_$service"
}
declare -A ALREADY=() LAUNCHED_AT=()

await() {
  local service=$1 deadline=$((SECONDS + READY_SECONDS_MAX))
  until "${service}_ready"; do
    if [[ -z $("${service}_pid") ]]; then
      failed "$service" "$(title "$service") ended while it was starting"
    fi
    ((SECONDS < deadline)) || failed "$service" "$(title "$service") is not ready after $READY_SECONDS_MAX s"
    sleep 0.1
  done
  "finish_$service" || failed "$service" "$(title "$service") runs, but could not be prepared for Purser"
  if [[ -n ${ALREADY[$service]:-} ]]; then
    say "$(title "$service") already runs on $("${service}_address") (pid $("${service}_pid"))"
  else
    say "$(title "$service") ready on $("${service}_address") ($(since "${LAUNCHED_AT[$service]}"))"
  fi
}

failed() {
  local service=$1 log=$HERE/log/$1.log text
  # RabbitMQ says why before it says, at length, that it failed.
  text=$(tail -n 200 "$log" | grep -m 1 -B 8 -A 8 '^BOOT FAILED' || tail -n 25 "$log") 2>/dev/null || true
  printf -- '--- from %s\n%s\n---\n' "$log" "$text" >&2
  die "$2" "see $log" \
    "if the data are damaged and not needed, 'scripts/services.sh wipe' deletes them; then try again"
}

stop_all() {
  local service began
  for service in postgres rabbitmq; do
    if [[ -z $(pids_of "$service") ]]; then
      say "$(title "$service") does not run"
      continue
    fi
    began=$(now)
    stop "$service"
    say "$(title "$service") stopped ($(since "$began"))"
  done
  stop_epmd
}

stop() {
  local service=$1 pid
  case $service in
    postgres) kill -INT "$(postgres_pid)" 2>/dev/null || true ;; # INT is its "fast" way: clients are cut off.
    rabbitmq)
      # Not its helpers: without them it would crash instead of stopping.
      for pid in $(pids_in "$DATA/rabbitmq" rabbitmq-server beam.smp); do kill -TERM "$pid" 2>/dev/null || true; done
      ;;
  esac
  if ! await_end "$service"; then
    say "$(title "$service") did not stop within $STOP_SECONDS_MAX s: killing it"
    signal KILL "$service"
    await_end "$service" || die "$(title "$service") cannot be stopped"
  fi
}

await_end() {
  local deadline=$((SECONDS + STOP_SECONDS_MAX))
  while [[ -n $(pids_of "$1") ]]; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

signal() {
  local pid
  for pid in $(pids_of "$2"); do kill "-$1" "$pid" 2>/dev/null || true; done
}

# A server's processes are those that work in its data folder. Unlike a pid file this cannot be
# stale after a crash or a reboot, and it never means another project's server.
pids_of() {
  case $1 in
    postgres) pids_in "$DATA/postgres" postgres ;;
    rabbitmq) pids_in "$DATA/rabbitmq" rabbitmq-server beam.smp erl_child_setup inet_gethost ;;
    epmd) pids_in "$DATA/rabbitmq" epmd ;;
  esac
}

pids_in() {
  local folder=$1 process name
  shift
  [[ -n $DATA && -d $folder ]] || return 0
  for process in /proc/[0-9]*; do
    [[ $process/cwd -ef $folder ]] || continue
    { read -r name <"$process/comm"; } 2>/dev/null || continue
    if [[ " $* " == *" $name "* ]]; then echo "${process#/proc/}"; fi
  done
}

title() {
  case $1 in
    postgres) echo PostgreSQL ;;
    rabbitmq) echo RabbitMQ ;;
  esac
}

# Runs a program as the server's user, with an environment of its own.
as_user() {
  local user=$1
  shift
  if ((EUID == 0)) && [[ -n $user && $user != root ]]; then
    set -- setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- "$@"
  fi
  # Empty, or `exec` where the server must take the shell's place.
  ${REPLACE_SHELL:-} "$@"
}

# Starts a server that outlives this script, its terminal and whoever reads its output.
detach() {
  local log=$1 folder=$2 limit
  shift 2
  [[ -e $log ]] || : >"$log"
  keep_owner "$log"
  (
    cd "$folder"
    limit=$(ulimit -Hn)
    if [[ $limit == unlimited ]] || ((limit > OPEN_FILES_MAX)); then limit=$OPEN_FILES_MAX; fi
    ulimit -n "$limit"
    close_inherited
    REPLACE_SHELL="exec"
    "$@"
  ) </dev/null >>"$log" 2>&1 &
}

# The lock, make's job server and the like must not stay open in a server.
close_inherited() {
  local descriptor
  for descriptor in /proc/"$BASHPID"/fd/*; do
    descriptor=${descriptor##*/}
    if ((descriptor > 2 && descriptor != 255)); then eval "exec $descriptor>&-"; fi
  done
}

# --- PostgreSQL --------------------------------------------------------------------------------

postgres_pid() {
  local first='' pids
  pids=" $(pids_of postgres | tr '\n' ' ')"
  if [[ -r $DATA/postgres/postmaster.pid ]]; then read -r first <"$DATA/postgres/postmaster.pid" || true; fi
  if [[ -n $first && $pids == *" $first "* ]]; then echo "$first"; fi
}

postgres_address() {
  echo "127.0.0.1:$POSTGRES_PORT"
}

postgres_env() {
  as_user "$POSTGRES_USER_NAME" env -i PATH="$PATH" HOME="$DATA" LC_ALL=C.UTF-8 "$@"
}

launch_postgres() {
  local folder=$DATA/postgres pid=''
  if [[ ! -e $folder ]]; then create_cluster; fi
  # Backends of a killed server may outlive it for a moment, and would keep a new one from starting.
  signal KILL postgres
  await_end postgres || failed postgres "what is left of the last PostgreSQL cannot be ended"
  # After a reboot the number in this file may be another program's, which PostgreSQL cannot tell
  # from a running server. No server works in this folder, so whoever has the number is not one.
  if [[ -f $folder/postmaster.pid ]]; then
    read -r pid <"$folder/postmaster.pid" || true
    if [[ -d /proc/${pid:-none} ]]; then rm "$folder/postmaster.pid"; fi
  fi
  claim_port POSTGRES_PORT PostgreSQL
  {
    echo '# Written by scripts/services.sh at every start. Durability stays at the defaults: fsync and'
    echo '# synchronous_commit are on, because what Purser acknowledges must survive a crash.'
    echo "listen_addresses = '127.0.0.1'"
    echo "port = $POSTGRES_PORT"
    echo "unix_socket_directories = ''"
    echo "max_connections = 200"
    echo "shared_buffers = '$POSTGRES_SHARED_BUFFERS'"
    echo "max_wal_size = '4GB'"
    echo "timezone = 'UTC'"
    echo "log_timezone = 'UTC'"
    echo "log_line_prefix = '%m [%p] %q%u@%d '"
    echo "cluster_name = 'purser${INSTANCE:+-$INSTANCE}'"
  } | as_user "$POSTGRES_USER_NAME" tee "$folder/purser.conf" >/dev/null
  say "starting PostgreSQL $(<"$folder/PG_VERSION")"
  detach "$HERE/log/postgres.log" "$folder" postgres_env setsid "$POSTGRES_BIN/postgres" -D "$folder"
  await_process postgres
}

create_cluster() {
  local began folder=$DATA/postgres.new word=$DATA/postgres.word
  began=$(now)
  rm -rf "$folder"
  mkdir -m 700 "$folder"
  (umask 077 && printf '%s\n' "$POSTGRES_ADMIN_PASSWORD" >"$word")
  if ((EUID == 0)); then chown "$POSTGRES_USER_NAME:" "$folder" "$word"; fi
  # Built aside and moved into place when complete, so that an interrupted run leaves no half of it.
  postgres_env "$POSTGRES_BIN/initdb" --pgdata="$folder" --username=postgres --pwfile="$word" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C >>"$HERE/log/postgres.log" 2>&1 ||
    failed postgres "initdb could not create the PostgreSQL data"
  rm -f "$word"
  echo "include 'purser.conf'" | as_user "$POSTGRES_USER_NAME" tee -a "$folder/postgresql.conf" >/dev/null
  cp "$folder/PG_VERSION" "$DATA/postgres-version"
  keep_owner "$DATA/postgres-version"
  mv "$folder" "$DATA/postgres"
  say "PostgreSQL data created ($(since "$began"))"
}

postgres_ready() {
  "$POSTGRES_BIN/pg_isready" --quiet --host=127.0.0.1 --port="$POSTGRES_PORT"
}

# The role and the database, if they are not there.
finish_postgres() {
  PGPASSWORD=$POSTGRES_ADMIN_PASSWORD "$POSTGRES_BIN/psql" --host=127.0.0.1 --port="$POSTGRES_PORT" \
    --username=postgres --dbname=postgres --no-psqlrc --quiet --tuples-only --set=ON_ERROR_STOP=1 \
    >>"$HERE/log/postgres.log" 2>&1 <<SQL
SELECT 'CREATE ROLE purser LOGIN CREATEDB IN ROLE pg_monitor PASSWORD ''$POSTGRES_OWN_PASSWORD'''
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'purser') \gexec
SELECT 'CREATE DATABASE purser OWNER purser'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'purser') \gexec
SQL
}

# --- RabbitMQ ----------------------------------------------------------------------------------

rabbitmq_pid() {
  pids_in "$DATA/rabbitmq" beam.smp | head -n 1
}

rabbitmq_address() {
  echo "127.0.0.1:$AMQP_PORT"
}

# Part of the data: RabbitMQ does not open what another node name has written.
node_name() {
  echo "purser-${INSTANCE:-local}@localhost"
}

rabbitmq_env() {
  local folder=$DATA/rabbitmq
  as_user "$RABBITMQ_USER_NAME" env -i PATH="$PATH:/usr/sbin:/sbin" HOME="$folder" LC_ALL=C.UTF-8 \
    ERL_EPMD_PORT="$EPMD_PORT" \
    ERL_EPMD_ADDRESS=127.0.0.1 \
    ERL_CRASH_DUMP="$folder/erl_crash.dump" \
    RABBITMQ_NODENAME="$(node_name)" \
    RABBITMQ_DIST_PORT="$DIST_PORT" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
    RABBITMQ_CONF_ENV_FILE="$folder/rabbitmq-env.conf" \
    RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" \
    RABBITMQ_ADVANCED_CONFIG_FILE="$folder/advanced.config" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" \
    RABBITMQ_MNESIA_BASE="$folder/mnesia" \
    RABBITMQ_LOG_BASE="$folder/log" \
    RABBITMQ_LOGS=- \
    RABBITMQ_PID_FILE="$folder/rabbitmq.pid" \
    "$@"
}

launch_rabbitmq() {
  local folder=$DATA/rabbitmq
  # What is left of a killed one.
  signal KILL rabbitmq
  if [[ ! -e $folder ]]; then create_node; fi
  claim_port AMQP_PORT RabbitMQ
  claim_port DIST_PORT "RabbitMQ's distribution"
  start_epmd
  {
    echo '# Written by scripts/services.sh at every start.'
    echo "listeners.tcp.1 = 127.0.0.1:$AMQP_PORT"
    echo '# Made at the first start, instead of the guest with the well-known password.'
    echo 'default_user = purser'
    echo "default_pass = $RABBITMQ_OWN_PASSWORD"
    echo 'default_user_tags.administrator = true'
    echo 'log.console = true'
    echo 'log.console.level = info'
    echo 'log.console.use_colors = off'
    echo 'log.file = false'
  } | as_user "$RABBITMQ_USER_NAME" tee "$folder/rabbitmq.conf" >/dev/null
  echo '[rabbitmq_consistent_hash_exchange].' | as_user "$RABBITMQ_USER_NAME" tee "$folder/enabled_plugins" >/dev/null
  say "starting RabbitMQ"
  detach "$HERE/log/rabbitmq.log" "$folder" rabbitmq_env setsid "$RABBITMQ_SBIN/rabbitmq-server"
  await_process rabbitmq
}

create_node() {
  local folder=$DATA/rabbitmq.new
  rm -rf "$folder"
  mkdir -m 700 "$folder"
  (
    umask 077
    : >"$folder/rabbitmq-env.conf"
    : >"$folder/rabbitmq.conf"
    random_word >"$folder/.erlang.cookie"
  )
  chmod 400 "$folder/.erlang.cookie"
  if ((EUID == 0)); then chown -R "$RABBITMQ_USER_NAME:" "$folder"; fi
  mv "$folder" "$DATA/rabbitmq"
}

# The port mapper of our own: one that the system runs must not learn about this node.
start_epmd() {
  if [[ -n $(pids_of epmd) ]] && answers 127.0.0.1 "$EPMD_PORT"; then return; fi
  stop_epmd
  if [[ -z $(rabbitmq_pid) ]]; then
    claim_port EPMD_PORT "RabbitMQ's port mapper"
  elif answers 127.0.0.1 "$EPMD_PORT"; then
    return # Somebody else's by now; the node knows no other port until it is started again.
  fi
  detach "$HERE/log/rabbitmq.log" "$DATA/rabbitmq" \
    rabbitmq_env setsid epmd -address 127.0.0.1 -port "$EPMD_PORT"
  local deadline=$((SECONDS + 10))
  until answers 127.0.0.1 "$EPMD_PORT"; do
    ((SECONDS < deadline)) || failed rabbitmq "epmd does not answer on port $EPMD_PORT"
    sleep 0.05
  done
}

stop_epmd() {
  signal KILL epmd
}

# The first byte of a broker's answer is a method frame; anything else is not (yet) a broker.
rabbitmq_ready() {
  local byte=
  {
    exec 8<>"/dev/tcp/127.0.0.1/$AMQP_PORT" || return 1
    printf 'AMQP\0\0\11\1' >&8
    IFS= read -r -N 1 -t 2 -u 8 byte || true
    exec 8>&-
  } 2>/dev/null
  [[ $byte == $'\1' ]]
}

finish_rabbitmq() { :; }

# --- Small helpers -----------------------------------------------------------------------------

# A server that was launched shows up in its folder after a moment.
await_process() {
  local deadline=$((SECONDS + 10))
  until [[ -n $("${1}_pid") ]]; do
    ((SECONDS < deadline)) || failed "$1" "$(title "$1") did not start"
    sleep 0.05
  done
}

# A port on which something listens. In a shell of its own, because `timeout` needs a program.
answers() {
  # shellcheck disable=SC2016
  timeout 3 bash -c ': <"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
}

without_password() {
  sed -E 's#(://[^:/@]*):.*@#\1:***@#' <<<"$1"
}

now() {
  echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

since() {
  local milliseconds=$(($(now) - $1))
  printf '%d.%d s' $((milliseconds / 1000)) $((milliseconds % 1000 / 100))
}

say() {
  printf 'services: %s\n' "$*"
}

die() {
  local line
  printf 'services: error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '          %s\n' "$line" >&2; done
  exit 1
}

on_exit() {
  local code=$?
  allow_starts
  exit "$code"
}

main "$@"
