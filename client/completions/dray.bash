# SPDX-License-Identifier: Apache-2.0
# Completion of dray(1) for bash: commands, options, and the ids of jobs as the daemon knows them now.

# The ids of jobs, one on each line; only those in the given states, if any are given.
_dray_jobs() {
    local state
    [ $# -gt 0 ] || set -- ''
    for state; do
        timeout 2 "${COMP_WORDS[0]}" ps -o json --limit 50 ${state:+--state "$state"} 2>/dev/null |
            grep -o '"id":"[0-9A-Z]*"' | cut -d '"' -f 4
    done
}

_dray_options() {
    case $1 in
        build) echo --base --target --add --exclude --cmd --entrypoint --env --image-label --workdir --user --platform --created \
            --compression --base-tree -t ;;
        copy) echo --platform --force ;;
        index) echo --target --base --platform --remove --annotation -t ;;
        check) echo --deep ;;
        ps) echo --state --kind --label --limit -o ;;
        logs) echo --follow -f ;;
        wait) echo --timeout -o ;;
        inspect) echo --platform ;;
        tags | catalog | show) echo -o ;;
        manifest) echo --platform --media-type ;;
        referrers) echo --artifact-type -o ;;
        archive) echo --format --platform ;;
        cache) echo --keep --older-than -o ;;
        credentials) echo -o ;;
    esac
    case $1 in
        build | copy | index | check | retry) echo -f -o --label --priority --detach --timeout --progress= ;;
    esac
    echo --help
}

_dray_words() {
    local command=$1 previous=$2 position=$3
    case $previous in
        --state) echo queued running cancelling succeeded failed cancelled; return ;;
        --kind) echo build copy index check; return ;;
        --format) echo oci-archive docker-archive; return ;;
        --compression) echo gzip zstd none; return ;;
        -o) echo json; return ;;
    esac
    case $command in
        show | logs) _dray_jobs ;;
        wait | cancel) _dray_jobs queued running ;;
        rm | retry) _dray_jobs succeeded failed cancelled ;;
        manifest | blob) [ "$position" -ne 1 ] || echo get head put rm ;;
        cache) [ "$position" -ne 1 ] || echo prune ;;
        credentials) [ "$position" -ne 1 ] || echo check forget ;;
        api) [ "$position" -ne 1 ] || echo GET HEAD POST PUT DELETE ;;
    esac
}

_dray() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} at=1 command
    local commands='build copy index check ps show logs wait cancel retry rm events inspect tags manifest blob mount referrers catalog
        archive cache credentials doctor api version help'
    [ "${COMP_WORDS[1]}" != -H ] || at=3
    COMPREPLY=()
    if [ "$COMP_CWORD" -le "$at" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands -H --help --version" -- "$current")
        return
    fi
    command=${COMP_WORDS[at]}
    case $current in
        -*) mapfile -t COMPREPLY < <(compgen -W "$(_dray_options "$command")" -- "$current")
            [ "${COMPREPLY[*]}" != --progress= ] || compopt -o nospace 2>/dev/null ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$(_dray_words "$command" "$previous" "$((COMP_CWORD - at))")" -- "$current")
            [ "${#COMPREPLY[@]}" -gt 0 ] || compopt -o default 2>/dev/null ;;
    esac
}

# What an option wants is after "=" in the word: --progress=…
_dray_entry() {
    local current=${COMP_WORDS[COMP_CWORD]}
    if [ "${COMP_WORDS[COMP_CWORD - 1]:-}" = = ] || [ "$current" = = ]; then
        mapfile -t COMPREPLY < <(compgen -W 'auto tty plain json none' -- "${current#=}")
        return
    fi
    _dray
}

complete -F _dray_entry dray
