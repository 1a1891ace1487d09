// What `svsfs completion SHELL` prints: a function of the shell that asks `svsfs completion --words`.
//
//   answer, a line each:   WORD <tab> about it      or   :directories   :files
//
// Rule: no list of commands or options stands here: the program that runs is asked.

const ASK = 'svsfs completion --words --'

// bash breaks words at `@` and `=`, so the line is read anew, and what it would not replace is cut off.
const BASH = `# svsfs: completion for bash.   source <(svsfs completion bash)
_svsfs() {
  local line=\${COMP_LINE:0:COMP_POINT} words cur cut word also=
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  cur=\${words[\${#words[@]}-1]}
  cut=\${cur%"\${cur##*[@=:]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    case $word in
      :directories | :files) also=$word ;;
      "$cur"*) COMPREPLY+=("$(printf %q "\${word#"$cut"}")") ;;
    esac
  done < <(${ASK} "\${words[@]:1}" 2>/dev/null)
  case $also in
    :directories) compopt -o filenames 2>/dev/null; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$cur") ;;
    :files) compopt -o filenames 2>/dev/null; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}
complete -F _svsfs svsfs`

const ZSH = `#compdef svsfs
# svsfs: completion for zsh.   source <(svsfs completion zsh)
_svsfs() {
  local -a lines found
  local line word also=
  lines=("\${(@f)$(${ASK} "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $lines; do
    word=\${line%%$'\\t'*}
    case $word in
      :directories|:files) also=$word ;;
      *) found+=("\${word//:/\\\\:}:\${line#*$'\\t'}") ;;
    esac
  done
  (( $#found )) && _describe svsfs found
  case $also in
    :directories) _files -/ ;;
    :files) _files ;;
  esac
}
compdef _svsfs svsfs`

const FISH = `# svsfs: completion for fish.   svsfs completion fish | source
function __svsfs_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (${ASK} $words[2..] 2>/dev/null)
        switch $line
            case ':directories*'
                __fish_complete_directories (commandline -ct)
            case ':files*'
                __fish_complete_path (commandline -ct)
            case '*'
                echo $line
        end
    end
end
complete -c svsfs -f -k -a '(__svsfs_complete)'`

export const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH }
