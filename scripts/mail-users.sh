#!/bin/bash
# Users and domains of the mail server, through the REST API of its user management: JSON lines in and out.
#
#   mail-users.sh list                   one JSON line a user, as the API has it, without passwords and hashes
#   mail-users.sh add [EMAIL]            a user; the password is the one line on stdin (asked for on a terminal)
#   mail-users.sh password [EMAIL]       another password for a user, likewise
#   mail-users.sh delete [EMAIL]...      users
#   mail-users.sh domains                one JSON line a domain
#   mail-users.sh add-domain [NAME]...
#   mail-users.sh delete-domain [NAME]...
#
# Without an operand there is a JSON line on stdin for each: {"email","password",...} for add (further fields go to the API)
# and password (which sends no more than the password); {"email"} or {"id"} for delete; {"name"} or {"id"} for domains.
#
#   --url URL             where the API is (USERMGMT_URL; default http://localhost:5000)
#   --token-file FILE     sent as "Authorization: Bearer ..."; with USERMGMT_AUTH_HEADER=X-API-Key alone in that header
#                         (USERMGMT_TOKEN_FILE)
#   --timeout SECONDS     for each answer (30); 429 and 503 are tried again, after the time that the server asks for
#   --dry-run             looks everything up, changes nothing, prints what would be done
#   --force               delete more than 50 at once; delete domains that still have users
#   --help
#
# Each input gives a line {"email" or "name","id","action","status","message"}; the action is added, exists, changed, deleted,
# missing or failed. Exit: 0 all is as asked (also: existed already, was gone already); 1 some failed, the lines say which;
# 2 usage, nothing touched; 3 could not go on: no answer, not allowed, not the API; the lines say what was done before.
set -euo pipefail
# A password must not reach a trace, nor the environment of a child: not by options inherited through SHELLOPTS, nor by a
# variable of the caller that has the name of one of ours.
set +x +a
unset token rows body typed reply trailer answer before lines fields
export LC_ALL=C

readonly MAX_DELETED=50 MAX_TRIES=4 MAX_WAIT_SECONDS=60 MAX_PAGES=10000
# What jq reads may hold passwords: it reads from stdin, and says nothing on stderr, where its errors quote what it reads.
lib=$(dirname "$(readlink -f "$0")")/lib/mail-users
readonly lib
readonly US=$'\x1f' # parts fields; JSON has it only as \u001f

# --- what was asked for --------------------------------------------------------------------------------------------

warn() { printf 'mail-users.sh: warning: %s\n' "$1" >&2; }

# die CODE MESSAGE
die() {
    printf 'mail-users.sh: error: %s\n' "$2" >&2
    exit "$1"
}

usage() { sed -n '2,/^set /{s/^# \{0,1\}//p;}' "$0"; }

usage_error() { die 2 "$1; see mail-users.sh --help"; }

parse_options() {
    url=${USERMGMT_URL:-http://localhost:5000}
    token_file=${USERMGMT_TOKEN_FILE:-}
    auth_header=${USERMGMT_AUTH_HEADER:-Authorization}
    timeout=30 dry_run="" force=""
    operands=()
    while (($# > 0)); do
        case $1 in
            --url=* | --token-file=* | --timeout=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        esac
        case $1 in
            --url | --token-file | --timeout) take_value "$@" && shift ;;
            --dry-run) dry_run=yes ;;
            --force) force=yes ;;
            --help | -h) usage && exit 0 ;;
            --) operands+=("${@:2}") && break ;;
            -*) usage_error "no such option: $1" ;;
            *) operands+=("$1") ;;
        esac
        shift
    done
}

take_value() {
    [[ -n ${2-} ]] || usage_error "$1 needs a value"
    case $1 in
        --url) url=$2 ;;
        --token-file) token_file=$2 ;;
        --timeout) timeout=$2 ;;
    esac
}

# What the command works on, and where its input is.
choose_command() {
    command=${operands[0]-}
    operands=("${operands[@]:1}")
    case $command in
        list | add | password | delete) collection=users field=email ;;
        domains | add-domain | delete-domain) collection=domains field=name ;;
        "") usage_error "no command" ;;
        *) usage_error "no such command: $command" ;;
    esac
    source=operands
    case $command in
        list | domains) ((${#operands[@]} == 0)) || usage_error "$command takes no operand" ;;
        add | password)
            ((${#operands[@]} <= 1)) || usage_error "$command takes one address; for several, JSON lines on standard input"
            source=password
            ;;
    esac
    ((${#operands[@]} > 0)) || source=lines
}

check_settings() {
    local authority='[^]/?#@[:space:]["\\]+|\[[0-9A-Fa-f:.]+\](:[0-9]+)?'
    [[ $url != *@* ]] || usage_error "no user or password belongs in the URL; use --token-file"
    [[ $url =~ ^https?://($authority)(/[^?#[:space:]]*)?$ ]] || usage_error "not an http or https URL: $url"
    url=${url%"${url##*[!/]}"}
    [[ $timeout =~ ^[1-9][0-9]{0,4}$ ]] || usage_error "--timeout is not a number of seconds: $timeout"
    [[ $auth_header =~ ^[A-Za-z0-9-]+$ ]] || usage_error "USERMGMT_AUTH_HEADER is not the name of a header: $auth_header"
    read_token
    if [[ $url == http:* && ! $url =~ ^http://(localhost|127\.[0-9.]+|\[::1\])(:|/|$) ]]; then
        warn "passwords and token travel unencrypted to ${url#http://}; use https"
    fi
}

# The header that the token makes, or nothing.
read_token() {
    token=""
    [[ -n $token_file ]] || return 0
    [[ -f $token_file && -r $token_file ]] || usage_error "the token file cannot be read: $token_file"
    [[ $(stat -Lc %a "$token_file") == *00 ]] || warn "others can read the token file; chmod 600 $token_file"
    token=$(<"$token_file")
    [[ $token =~ ^[[:graph:]]+$ ]] || usage_error "the token file holds no token, or more than one word: $token_file"
    if [[ ${auth_header,,} == authorization ]]; then
        token="Bearer $token"
    fi
    token="$auth_header: $token"
}

check_machine() {
    local program
    for program in curl jq; do
        command -v "$program" >/dev/null || die 2 "$program is not installed or not in PATH; apt-get install $program"
    done
    [[ -r $lib/result.jq ]] || die 2 "its programs for jq are not in $lib; install the script with all of lib/mail-users"
    # A pipe of ours would take the number of a closed one.
    { true 3<&0; } 2>/dev/null || exec </dev/null
    { true 3>&1; } 2>/dev/null || die 2 "standard output is closed; the results have no place to go"
}

# --- the API ---------------------------------------------------------------------------------------------------------

# request METHOD PATH [BODY]: one try. Sets answer; status, 0 when none came whole; fault, why; retry_after. Body and token go
# through pipes, printed by the shell itself; a here-document may become a file.
request() {
    local method=$1 path=$2 body=${3-} code=0 reply trailer arguments
    arguments=(--disable --silent --globoff --path-as-is --noproxy '*' --proto '=http,https' --request "$method"
        --max-time "$timeout" --header 'Accept: application/json' --header 'Expect:')
    if [[ -n $body ]]; then
        arguments+=(--header 'Content-Type: application/json' --data-binary @-)
    fi
    reply=$(printf '%s' "$body" | curl "${arguments[@]}" --header @<(printf '%s' "$token") \
        --write-out "\n%{http_code}$US%header{retry-after}$US%{errormsg}" "$url$path" 2>/dev/null | tr -d '\0') || code=$?
    trailer=${reply##*$'\n'}
    answer=${reply%$'\n'*}
    status=${trailer%%"$US"*}
    fault=${trailer##*"$US"}
    retry_after=${trailer#*"$US"}
    retry_after=${retry_after%"$US"*}
    if ((code != 0)); then
        status=0
        fault="no answer from $url$path: ${fault:-curl ended with $code}"
    fi
}

# call METHOD PATH [BODY]: as request, again while the server asks for patience.
call() {
    local try seconds
    for ((try = 1; ; try++)); do
        request "$@"
        if [[ $status != 429 && $status != 503 ]] || ((try == MAX_TRIES)); then
            return 0
        fi
        seconds=$(wait_seconds "$retry_after" "$try")
        ((seconds <= MAX_WAIT_SECONDS)) || return 0
        sleep "$seconds"
    done
}

# wait_seconds RETRY_AFTER TRY: seconds or a date (RFC 9110, 10.2.3); without either, longer with each try.
wait_seconds() {
    local date seconds=$2
    if [[ $1 =~ ^[0-9]{1,9}$ ]]; then
        seconds=$((10#$1))
    elif [[ $1 == *GMT ]] && date=$(date -d "$1" +%s 2>/dev/null); then
        seconds=$((date - $(date +%s)))
    fi
    printf '%s\n' "$((seconds > 0 ? seconds : 0))"
}

# fetch COLLECTION: items becomes all that the API has, one JSON text each, from as many pages as there are.
fetch() {
    local collection=$1 path=/api/$1 page=1 before="" lines
    items=()
    while ((page <= MAX_PAGES)); do
        call GET "$path"
        check_list "$path"
        mapfile -t lines < <(printf '%s' "$answer" | jq -rs --arg collection "$collection" --argjson page "$page" \
            --argjson had "${#items[@]}" --from-file "$lib/items.jq" 2>/dev/null)
        wait $! || lines=()
        ((${#lines[@]} > 0)) || die 3 "the answer of $url$path is not JSON (a login page?); see --url and --token-file"
        [[ ${lines[0]} != '!' ]] || die 3 "the answer of $url$path is JSON, but no list of $collection; see --url"
        items+=("${lines[@]:1}")
        [[ -n ${lines[0]} ]] || return 0
        if ((${#lines[@]} == 1)) || [[ $answer == "$before" ]]; then
            die 3 "$url$path: the list promises more pages than it has"
        fi
        before=$answer
        path=$(next_path "$collection" "${lines[0]}") || exit
        page=$((page + 1))
    done
    die 3 "$url: more than $MAX_PAGES pages of $collection"
}

check_list() {
    case $status in
        0) die 3 "$fault; is the user management running? see --url" ;;
        2??) ;;
        401 | 403) die 3 "$url$1 answers with $status: not allowed; see --token-file" ;;
        3??) die 3 "$url$1 answers with $status: sent elsewhere (a login page?); see --url and --token-file" ;;
        429 | 503) die 3 "$url$1 still answers with $status after $MAX_TRIES tries or asks for a long wait; try later" ;;
        *) die 3 "$url$1 answers with $status; see --url and the log of the user management" ;;
    esac
}

# next_path COLLECTION NEXT: a query, a path or a URL, and never another host: it would get the token.
next_path() {
    local next=$2
    case $next in
        \?*) next=$url/api/$1$next ;;
        /*) [[ $url =~ ^https?://[^/]+ ]] && next=${BASH_REMATCH[0]}$next ;;
    esac
    [[ $next == "$url"/* ]] || die 3 "the next page of $url/api/$1 would be elsewhere: $2"
    printf '%s\n' "${next#"$url"}"
}

# --- the work ---------------------------------------------------------------------------------------------------------

# rows becomes the input, checked, before anything is changed.
read_input() {
    local typed
    if [[ $source == password && -t 0 ]]; then
        IFS= read -rs -p "Password of ${operands[0]}: " typed && echo >&2
        mapfile -t rows < <(printf '%s\n' "$typed" | to_rows)
    elif [[ $source == lines && -t 0 ]]; then
        usage_error "name what to work on, or give JSON lines on standard input"
    else
        mapfile -t rows < <(to_rows)
    fi
    wait $! || die 3 "the input cannot be read"
    ((${#rows[@]} > 0)) || usage_error "nothing to do: standard input is empty"
    if [[ $command == delete* && -z $force$dry_run ]] && ((${#rows[@]} > MAX_DELETED)); then
        usage_error "deletes ${#rows[@]} at once, more than $MAX_DELETED; look at it with --dry-run, then give --force"
    fi
}

to_rows() {
    jq -nRr --arg command "$command" --arg field "$field" --arg source "$source" --from-file "$lib/rows.jq" \
        --args -- "${operands[@]}" 2>/dev/null
}

# index: what the API has, so that a look-up needs no request.
index() {
    local key id label
    fetch "$collection"
    declare -gA id_of=() key_of=() label_of=() is_twice=()
    while IFS=$US read -r key id label; do
        [[ -n $id ]] || die 3 "$url/api/$collection has entries whose \"id\" or \"$field\" is missing or of no use"
        [[ ${id_of[$key]-$id} == "$id" ]] || is_twice[$key]=yes
        id_of[$key]=$id
        key_of[$id]=$key
        label_of[$id]=$label
    done < <(to_index)
    wait $! || die 3 "the list of $collection cannot be read"
}

# users_in becomes the number of users of each domain.
count_users() {
    local field=email email
    declare -gA users_in=()
    fetch users
    while IFS=$US read -r email _; do
        [[ $email == *@?* ]] || die 3 "$url/api/users has entries whose \"id\" or \"email\" is missing or of no use"
        users_in[${email##*@}]=$((${users_in[${email##*@}]-0} + 1))
    done < <(to_index)
    wait $! || die 3 "the list of users cannot be read"
}

to_index() { print_items | jq -r --arg field "$field" --from-file "$lib/index.jq" 2>/dev/null; }

print_items() { ((${#items[@]} == 0)) || printf '%s\n' "${items[@]}"; }

# settle VERDICT ACTION LABEL STATUS MESSAGE BODY ANSWER: prints a line of output and sets verdict; see result.jq.
settle() {
    local IFS=$US result fields
    fields="$*"
    printf '%s\n' "${fields//[$'\r\n']/ }" >&"$to_judge" || die 3 "jq ended before all was done"
    IFS=' ' read -r verdict result <&"$from_judge" || die 3 "jq ended before all was done"
    printf '%s\n' "$result" || die 3 "a result cannot be written; not tried: $((${#rows[@]} - settled - 1)) of ${#rows[@]}"
    settled=$((settled + 1))
    case $verdict in
        failed) has_failed=yes ;;
        stop) die 3 "stopped, the last result says why; not tried: $((${#rows[@]} - settled)) of ${#rows[@]}" ;;
    esac
}

# change_all: every row, one after the other. One jq judges all answers: to start it takes longer than a request.
change_all() {
    local line fault key id label body verdict to_judge from_judge settled=0
    declare -A is_gone=()
    has_failed=""
    coproc JUDGE {
        exec jq --unbuffered -Rr --arg dry_run "$dry_run" --from-file "$lib/result.jq" 2>/dev/null
    }
    from_judge=${JUDGE[0]} to_judge=${JUDGE[1]}
    while IFS=$US read -r -u 3 line fault key id label body; do
        if [[ -n $fault ]]; then
            [[ $source != lines ]] || fault="line $line: $fault"
            settle failed failed "$label" 0 "$fault" "" ""
        elif [[ $command == add* ]]; then
            add
        else
            change
        fi
    done 3< <(printf '%s\n' "${rows[@]}")
}

# add, change, delete: work on the row at hand, in the variables of change_all.
add() {
    if [[ -n ${id_of[$key]+known} ]]; then
        id=${id_of[$key]}
        [[ -z $id ]] || label=${label_of[$id]}
        settle ok exists "$label" 0 "" "" ""
        return
    fi
    perform added POST "/api/$collection"
    [[ $verdict != ok ]] || id_of[$key]=""
}

change() {
    if [[ -n $key && -n ${is_twice[$key]-} ]]; then
        settle failed failed "$label" 0 "more than one differs from this only in capitals; give an id" "" ""
        return
    fi
    id=${id:-${id_of[$key]-}}
    if [[ -n $id && -n ${label_of[$id]-} ]]; then
        label=${label_of[$id]}
    else
        id=""
    fi
    if [[ $command == password && -n $id ]]; then
        perform changed PUT "/api/$collection/$id"
    elif [[ $command == password ]]; then
        settle failed missing "$label" 0 "" "" ""
    elif [[ -z $id || -n ${is_gone[$id]-} ]]; then
        settle ok missing "$label" 0 "" "" ""
    else
        delete "${key_of[$id]}"
    fi
}

# delete KEY. What becomes of the users of a deleted domain is for the API to say; here they are not deleted by accident.
delete() {
    if [[ $command == delete-domain && -z $force ]] && ((${users_in[$1]-0} > 0)); then
        settle failed failed "$label" 0 "still has users: ${users_in[$1]}; delete them first, or give --force" "" ""
        return
    fi
    perform deleted DELETE "/api/$collection/$id"
    [[ $verdict != ok ]] || is_gone[$id]=yes
}

# perform ACTION METHOD PATH: the request, and its result.
perform() {
    if [[ -n $dry_run ]]; then
        settle ok "$1" "$label" 0 "would be $1" "" ""
        return
    fi
    call "$2" "$3" "$body"
    if [[ $status == 0 ]]; then
        settle stop failed "$label" 0 "$fault; whether it was done is not known" "$body" ""
    fi
    settle "" "$1" "$label" "$status" "" "$body" "$answer"
}

main() {
    parse_options "$@"
    choose_command
    check_settings
    check_machine
    case $command in
        list | domains)
            fetch "$collection"
            print_items || die 3 "the list cannot be written"
            ;;
        *)
            read_input
            index
            [[ $command != delete-domain || -n $force ]] || count_users
            change_all
            [[ -z $has_failed ]] || exit 1
            ;;
    esac
}

main "$@"
