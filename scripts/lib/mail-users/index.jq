# Items to KEY US ID US LABEL, for look-ups; "!" for one that cannot be looked up.
if (.[$field] | type == "string" and . != "") and (.id | (type == "string" and . != "") or type == "number") then
  [ (.[$field] | ascii_downcase | explode | map(if . < 32 then 63 else . end) | implode),
    (.id | tostring | @uri),
    ({id, ($field): .[$field]} | tojson) ]
  | join("\u001f")
else "!" end
