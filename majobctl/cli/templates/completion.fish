# Completion of majobctl for fish: majobctl completion fish > ~/.config/fish/completions/majobctl.fish
function __majobctl_complete
    set -l typed (commandline -cp)
    for line in (env COMP_WORDS="$typed" _MAJOBCTL_COMPLETE=fish_complete majobctl 2>/dev/null)
        set -l parts (string split \t -- $line)
        set -l path (string sub -s (math (string length -- "$parts[2]") + 1) -- (commandline -ct))
        switch $parts[1]
            case plain
                printf '%s\t%s\n' $parts[2] $parts[3]
            case dir
                for found in (__fish_complete_directories "$path" '')
                    echo $parts[2]$found
                end
            case file
                for found in (__fish_complete_path "$path")
                    echo $parts[2]$found
                end
        end
    end
end

complete -c majobctl -f -a '(__majobctl_complete)'
