# Items to KEY US ID US LABEL, for look-ups; "!" for one that cannot be looked up.

# A number that jq may have rounded would be the id of another.
def is_id: if type == "number" then . == floor and fabs < 9007199254740992 else type == "string" and . != "" end;

if (.[$field] | type == "string" and . != "") and (.id | is_id) then
  [ (.[$field] | ascii_downcase | explode | map(if . < 32 then 63 else . end) | implode),
    (.id | tostring | @uri),
    ({id, ($field): .[$field]} | tojson) ]
  | join("\u001f")
else "!" end
