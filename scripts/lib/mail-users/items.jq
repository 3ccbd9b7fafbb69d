# A page of a list, slurped, to its items, one a line, behind a line that says where the next page is: nowhere if it is empty.
# Only "!" for JSON that is not a list; nothing for what is not a single JSON text.

def items: if type == "array" then . elif type == "object" then .[$collection] // .items // .data // .results else null end;
def is_list: type == "array" and all(type == "object");

def the_one_after: "?page=\($page + 1)";
# Which page is next, when there were `had` items up to the end of this one.
def next($had):
  if type == "array" then ""
  elif .next | type == "string" then .next
  elif .next | type == "number" then "?page=\(.next)"
  elif ([.page, .pages] | all(type == "number")) and .page < .pages then the_one_after
  elif (.total | type == "number") and .total > $had then the_one_after
  else "" end;

def without_secrets: walk(if type == "object" then with_entries(select(.key | test("^passw|hash"; "i") | not)) else . end);

if length != 1 then empty
else .[0] | items as $items
  | if $items | is_list | not then "!"
    else next($had + ($items | length)), ($items[] | without_secrets | tojson) end
end
