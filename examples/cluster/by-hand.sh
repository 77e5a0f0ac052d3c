#!/bin/sh
# A Ray cluster of a few machines, by hand:
#
#   by-hand.sh head [ADDRESS]          on the first machine
#   by-hand.sh node HEAD [ADDRESS]     on every other one, once ~/.ray/auth_token has been copied there
#   by-hand.sh stop                    on each of them
#
# ADDRESS is the machine's own in the network of the cluster; without it Ray finds one. Every machine needs
# `pip install 'nstd[cluster,gpu]'`, with the same Python, nstd and Ray.
set -eu

token="$HOME/.ray/auth_token"
# Nobody gets in without the token: whoever gets in may run any program here.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$token" RAY_USAGE_STATS_ENABLED=0
unset RAY_AUTH_TOKEN
# Else the server at port 10001 fails now and then to start a process for a new client; see docs/cluster.md.
export GRPC_ENABLE_FORK_SUPPORT=0
(umask 077 && mkdir -p "$HOME/.ray")

usage() {
    sed -n 's/^#   //p' "$0" >&2
    exit 64
}

start() {
    if [ ! -s "$token" ]; then
        echo "$0: there is no token in $token; copy it from the head: scp HEAD:.ray/auth_token $token" >&2
        exit 77
    fi
    chmod 600 "$token"
    ray start --disable-usage-stats "$@"
}

case "${1:-}" in
head)
    if [ ! -s "$token" ]; then
        (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$token")
    fi
    start --head --port=6379 --ray-client-server-port=10001 --include-dashboard=false \
        ${2:+"--node-ip-address=$2"}
    echo "The other machines and nstd's own need $token, which nobody else may read."
    ;;
node)
    [ -n "${2:-}" ] || usage
    start "--address=$2:6379" ${3:+"--node-ip-address=$3"}
    ;;
stop)
    ray stop
    ;;
*)
    usage
    ;;
esac
