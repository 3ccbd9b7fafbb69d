# A page of a list to its items, one a line, behind a first line that says where the next page is.
def without_secrets: walk(if type == "object" then with_entries(select(.key | test("^passw|hash"; "i") | not)) else . end);
def items: if type == "array" then . elif type == "object" then .[$collection] // .items // .data // .results else null end;
def next_page: "?page=\($page + 1)";
def next($had):
  if type == "array" then ""
  elif (.next | type) == "string" then .next
  elif (.next | type) == "number" then "?page=\(.next)"
  elif (.pages | type) == "number" and ((.page | type) == "number") then if .page < .pages then next_page else "" end
  elif (.total | type) == "number" and .total > $had then next_page
  else "" end;
items as $items
| if ($items | type) != "array" or ($items | any(type != "object")) then "!"
  else next($had + ($items | length)), ($items[] | without_secrets | tojson) end
