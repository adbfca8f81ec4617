#compdef majobctl
# Completion of majobctl for zsh, after compinit: eval "$(majobctl completion zsh)"
_majobctl() {
    local line type word help kind='' before=''
    local -a described unfinished
    local typed="${(j: :)words[1,CURRENT-1]} $PREFIX"
    for line in "${(@f)$(COMP_WORDS=$typed _MAJOBCTL_COMPLETE=zsh_complete $words[1] 2>/dev/null)}"; do
        IFS=$'\t' read -r type word help <<<"$line"
        case $type in
        plain)
            if [[ $word == *= ]]; then
                unfinished+=("$word")
            else
                described+=("$word${help:+:$help}")
            fi
            ;;
        dir | file) kind=$type before=$word ;;
        esac
    done
    (( $#described )) && _describe -V majobctl described
    (( $#unfinished )) && compadd -S '' -- $unfinished
    if [[ -n $kind ]]; then
        [[ -n $before ]] && compset -P '*='
        if [[ $kind == dir ]]; then _files -/; else _files; fi
    fi
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _majobctl "$@"
else
    compdef _majobctl majobctl
fi
