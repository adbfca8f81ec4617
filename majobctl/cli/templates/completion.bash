# Completion of majobctl for bash: eval "$(majobctl completion bash)"
_majobctl_completion() {
    local type word help line=${COMP_LINE:0:COMP_POINT}
    # What bash completes begins after an = or a : in the word; an answer is the complete word.
    local before=${line##*[[:space:]]}
    before=${before%"$2"}
    COMPREPLY=()
    while IFS=$'\t' read -r type word help; do
        case $type in
        plain)
            COMPREPLY+=("${word#"$before"}")
            if [[ $word == *= ]]; then compopt -o nospace; fi
            ;;
        dir) compopt -o dirnames ;;
        file) compopt -o default ;;
        esac
    done < <(COMP_WORDS=$line _MAJOBCTL_COMPLETE=bash_complete "$1")
} 2>/dev/null

# Before 4.4, which macOS does not have, bash knows neither nosort nor compopt.
complete -o nosort -F _majobctl_completion majobctl 2>/dev/null ||
    complete -o default -F _majobctl_completion majobctl
