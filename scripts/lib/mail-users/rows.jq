# Input to rows LINE US FAULT US KEY US ID US LABEL US BODY. The key is what the API's list is searched for, the label what
# the line of output begins with.
def has_control: explode | any(. < 32 or . == 127);
def host_pattern: "([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
def is_host: length <= 253 and test("\\A" + host_pattern + "\\z");
# A slash or a leading dot would leave the directory of the mailbox.
def is_local: utf8bytelength <= 64 and test("\\A[^.\\s@/\\\\<>()\\[\\],;:\"\ufffd][^\\s@/\\\\<>()\\[\\],;:\"\ufffd]*\\z");
def is_email: split("@") | length == 2 and (.[0] | is_local) and (.[1] | is_host);

def key_fault:
  if type != "string" or . == "" then "no \"\($field)\""
  elif has_control then "a control character in \"\($field)\""
  elif ($field == "email" and is_email) or ($field == "name" and is_host) then ""
  elif $field == "email" then "not an e-mail address"
  else "not the name of a domain (others than ASCII ones in their xn-- form)" end;
def id_fault:
  if (type == "number") or (type == "string" and . != "" and (has_control | not)) then "" else "\"id\" is no number or text" end;
def password_fault:
  if type != "string" then "no \"password\", or it is no text"
  elif . == "" then "the password is empty"
  elif contains("\ufffd") then "the password is not UTF-8"
  elif has_control then "a control character in the password (a carriage return: is the file from Windows?)"
  else "" end;

def by_id: ($command | startswith("delete")) and (has($field) | not) and has("id");
def needs_password: $command == "add" or $command == "password";
def fault:
  if type != "object" then "not a JSON object"
  else (if by_id then .id | id_fault else .[$field] | key_fault end) as $first
    | if $first != "" then $first elif needs_password then .password | password_fault else "" end end;
def label:
  if type != "object" then {}
  elif by_id then (if .id | id_fault == "" then {id} else {} end) elif (.[$field] | type) == "string" then {($field): .[$field]} else {} end;
def body:
  if $command == "password" then {password} elif ($command | startswith("add")) then del(.id) else empty end | tojson;

def row($line):
  fault as $fault
  | [ ($line | tostring), $fault,
      (if $fault != "" or by_id then "" else .[$field] | ascii_downcase end),
      (if $fault == "" and by_id then .id | tostring | @uri else "" end),
      (label | tojson),
      (if $fault == "" then (body // "") else "" end) ]
  | join("\u001f");

def lines: foreach inputs as $text ({n: 0}; {n: (.n + 1), text: $text}; select(.text | test("\\A\\s*\\z") | not));
if $source == "lines" then
  lines | .n as $n | .text | ((try {read: fromjson} catch {}) | .read) | row($n)
elif $source == "operands" then
  $ARGS.positional | to_entries[] | .key as $key | {($field): .value} | row($key + 1)
else
  [inputs] | if length > 1 then ({} | "1\u001fmore than one line on standard input; the password is one line\u001f\u001f\u001f{}\u001f")
    else . as $all | {($field): $ARGS.positional[0], password: ($all[0] // "")} | row(1) end
end
