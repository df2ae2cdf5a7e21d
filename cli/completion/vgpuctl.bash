# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of vgpuctl(1) for bash. The candidates come from the running daemon. Names of GPUs contain colons, and bash
# splits words at colons, so this file joins the words again, without help from other files.

# Set __vgpuctl_words to the words up to the cursor as the user sees them, and __vgpuctl_cur to the last of these words.
__vgpuctl_split() {
        local line=${COMP_LINE:0:COMP_POINT} part glue=no
        __vgpuctl_words=()
        for part in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
                # A part that follows the previous part without a blank belongs to the same word.
                if [[ $glue == yes ]]; then
                        __vgpuctl_words[-1]+=$part
                else
                        __vgpuctl_words+=("$part")
                fi
                line=${line#"$part"}
                glue=yes
                if [[ $line == [[:space:]]* ]]; then
                        glue=no
                        line=${line#"${line%%[![:space:]]*}"}
                fi
        done
        __vgpuctl_cur=${__vgpuctl_words[-1]}
}

# Print the candidates of a kind, one per line, without the explanations; __vgpuctl_host may name another host.
__vgpuctl_ask() {
        local program=${__vgpuctl_words[0]}
        "$program" __complete "$@" ${__vgpuctl_host:+"--host=$__vgpuctl_host"} 2>/dev/null </dev/null | cut -f1
}

# Offer the lines of stdin that begin with $1, without the part up to the last colon: bash splits words at colons and
# keeps that part on the command line. Bash also splits at "=": the caller has removed the part up to "=" from $1.
__vgpuctl_offer() {
        local cur=$1 strip="" word
        COMPREPLY=()
        if [[ $COMP_WORDBREAKS == *:* && $cur == *:* ]]; then
                strip=${cur%"${cur##*:}"}
        fi
        while IFS= read -r word; do
                [[ $word == "$cur"* ]] || continue
                printf -v word '%q' "$word"
                COMPREPLY+=("${word#"$strip"}")
        done
}

_vgpuctl() {
        local __vgpuctl_words=() __vgpuctl_cur="" __vgpuctl_host=""
        local cur option="" verb="" gpu="" ready="" word i
        local -a ask_gpu=() objects=() type=()
        COMPREPLY=()
        __vgpuctl_split
        cur=$__vgpuctl_cur

        # Find the verb, the words after the verb, the values of --gpu and --host, and the option whose value is at the
        # cursor.
        for ((i = 1; i < ${#__vgpuctl_words[@]} - 1; i++)); do
                word=${__vgpuctl_words[i]}
                case $word in
                --gpu) gpu=${__vgpuctl_words[i + 1]} ;;&
                --gpu=*) gpu=${word#*=} ;;
                -H | --host) __vgpuctl_host=${__vgpuctl_words[i + 1]} ;;&
                --host=*) __vgpuctl_host=${word#*=} ;;
                -H?*) __vgpuctl_host=${word#-H} ;;
                -H | --host | --type | --gpu | --uuid | --name | --parent | --count | --attr | --timeout | --strategy | \
                        --numa-node | --prefer-numa-node | --near | --pool | --from)
                        if ((i + 1 == ${#__vgpuctl_words[@]} - 1)); then
                                option=$word
                        fi
                        i=$((i + 1))
                        ;;
                --ready) ready=--ready ;;
                -*) ;;
                *)
                        if [[ -n $verb ]]; then
                                objects+=("$word")
                        fi
                        verb=${verb:-$word}
                        ;;
                esac
        done
        if [[ $cur == --*=* ]]; then
                option=${cur%%=*}
                cur=${cur#*=}
        fi
        if [[ -n $gpu ]]; then
                ask_gpu=(--gpu "$gpu")
        fi

        case $option in
        --gpu) __vgpuctl_offer "$cur" < <(__vgpuctl_ask gpus) ;;
        --type) __vgpuctl_offer "$cur" < <(__vgpuctl_ask types "${ask_gpu[@]}") ;;
        --parent) __vgpuctl_offer "$cur" < <(__vgpuctl_ask parents "${ask_gpu[@]}") ;;
        --attr)
                compopt -o nospace 2>/dev/null
                # The word of edit is a definition, not a type.
                if [[ $verb != edit ]]; then
                        type=("${objects[@]:0:1}")
                fi
                __vgpuctl_offer "$cur" < <(__vgpuctl_ask attributes "${type[@]}" "${ask_gpu[@]}")
                ;;
        --strategy) __vgpuctl_offer "$cur" < <(printf '%s\n' breadth depth) ;;
        --near) __vgpuctl_offer "$cur" < <(__vgpuctl_ask gpus) ;;
        --from) __vgpuctl_offer "$cur" < <(__vgpuctl_ask instances) ;;
        -H | --host) __vgpuctl_offer "$cur" < <(compgen -A hostname) ;;
        ?*) ;;
        *)
                if [[ $cur == -* ]]; then
                        __vgpuctl_offer "$cur" < <(__vgpuctl_ask options "$verb")
                        return
                fi
                # Choose by the verb and the number of words between the verb and the cursor. Offer nothing after the
                # last word that the verb takes.
                case $verb:${#objects[@]} in
                :0 | help:0) __vgpuctl_offer "$cur" < <(__vgpuctl_ask verbs) ;;
                types:0 | list:0 | rescan:0 | configure:0 | forget:0) __vgpuctl_offer "$cur" < <(__vgpuctl_ask gpus) ;;
                enable-vfs:0 | disable-vfs:0) __vgpuctl_offer "$cur" < <(__vgpuctl_ask vf-gpus) ;;
                forget:1)
                        __vgpuctl_offer "$cur" < <(
                                echo vfs
                                __vgpuctl_ask modes --gpu "${objects[0]}"
                        )
                        ;;
                configure:1) __vgpuctl_offer "$cur" < <(__vgpuctl_ask modes --gpu "${objects[0]}") ;;
                configure:2) __vgpuctl_offer "$cur" < <(__vgpuctl_ask choices "${objects[1]}" --gpu "${objects[0]}") ;;
                show:0)
                        __vgpuctl_offer "$cur" < <(
                                __vgpuctl_ask objects
                                echo job
                        )
                        ;;
                show:1)
                        if [[ ${objects[0]} == job ]]; then
                                __vgpuctl_offer "$cur" < <(__vgpuctl_ask all-jobs)
                        fi
                        ;;
                wait:*)
                        if [[ -n $ready ]]; then
                                __vgpuctl_offer "$cur" < <(__vgpuctl_ask definitions)
                                return
                        fi
                        __vgpuctl_offer "$cur" < <(
                                __vgpuctl_ask jobs
                                __vgpuctl_ask instances
                        )
                        ;;
                create:0 | place:0 | define:0) __vgpuctl_offer "$cur" < <(__vgpuctl_ask types "${ask_gpu[@]}") ;;
                destroy:*) __vgpuctl_offer "$cur" < <(__vgpuctl_ask instances) ;;
                autostart:1) __vgpuctl_offer "$cur" < <(printf '%s\n' on off) ;;
                edit:0 | autostart:0 | undefine:*) __vgpuctl_offer "$cur" < <(__vgpuctl_ask definitions) ;;
                start:*) __vgpuctl_offer "$cur" < <(__vgpuctl_ask stopped-definitions) ;;
                stop:*) __vgpuctl_offer "$cur" < <(__vgpuctl_ask active-definitions) ;;
                cancel:0) __vgpuctl_offer "$cur" < <(__vgpuctl_ask jobs) ;;
                esac
                ;;
        esac
} && complete -F _vgpuctl vgpuctl
