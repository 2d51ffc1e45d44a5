# An agent that writes its own history: agent.sh FILE BEATS [stubborn]
# A stubborn one does not go when its terminal does, nor when it is asked to.
file=$1 beats=$2
if [ "${3:-}" = stubborn ]; then trap '' HUP TERM; fi

# One write each: the file is opened for appending, and a line is shorter than any buffer.
note() {
  printf '%s\t%s000\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "${EPOCHREALTIME//[!0-9]/}" \
    "$CIS_SCOPE" "$CIS_DAG_ID" "$CIS_RUN_ID" "$CIS_AGENT_ID" "${MAP_INDEX:--1}" \
    "$CIS_TRY_NUMBER" "$$" "$CIS_SESSION_ID" >> "$file"
}

note begin
for ((beat = 0; beat < beats; beat++)); do
  sleep 0.2
  note beat
done
note end
