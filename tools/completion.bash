# shellcheck shell=bash
# Completes the options of lockstepd and its tools in bash, as their own --help tells them: source this file, or copy it
# to /etc/bash_completion.d/lockstep.

_lockstep() {
  local program=$1 word=$2 previous=$3 help line choices
  COMPREPLY=()
  help=$("$program" --help 2>/dev/null </dev/null) || return 0
  # What stands behind this option, or else as an argument: one of the words in {...}.
  if [[ $previous == -* ]]; then
    line=$(grep -E -m 1 -- "^ *([^ ]*, *)?${previous}[, ]" <<<"$help")
    case $line in
      *'{'*'}'*) choices=${line#*\{} ;;
      *FILE*) line= ;;                                     # files
      *TEXT* | *INT* | *FLOAT* | *URL* | *SQL* | *NUMBER* | *I:U:D*) return 0 ;; # only the user knows
      *) previous= ;;                                      # a flag
    esac
  fi
  if [[ $previous != -* && $word != -* ]]; then
    choices=$(sed -n '/^positionals:/I,/^options:/Is/.*{\([^}]*\)}.*/\1}/p;/^subcommands:/I,$s/^  \([a-z-]*\)  *.*/\1/p' <<<"$help" | tr '\n' ',')
  fi
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(grep -oE -- '(^ *|, *)--?[A-Za-z][a-z-]*' <<<"$help" | tr -d ' ,')" -- "$word")
  elif [[ -n $choices ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(tr ',}' '  ' <<<"${choices%%\}*}")" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}

complete -o filenames -F _lockstep lockstepd check_target_db dead_letters debug_kafka debug_messages demo generate_changes
