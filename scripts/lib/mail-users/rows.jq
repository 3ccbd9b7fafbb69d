# The input to rows LINE US FAULT US KEY US ID US LABEL US BODY: the fault is empty where nothing is wrong, the key is what the
# list of the API is searched for, the label is what a line of output begins with, the body is what is sent.

# --- what may be wrong
def has_control: explode | any(. < 32 or . == 127);
def is_host:
  "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?" as $word
  | length <= 253 and test("\\A(" + $word + "\\.)*" + $word + "\\z");
# A slash or a leading dot would leave the directory of the mailbox.
def is_local: utf8bytelength <= 64 and test("\\A[^\\s@/\\\\<>()\\[\\],;:\"\ufffd]+\\z") and (startswith(".") | not);
def is_email: split("@") | length == 2 and (.[0] | is_local) and (.[1] | is_host);

def key_fault:
  if type != "string" or . == "" then "no \"\($field)\""
  elif has_control then "a control character in \"\($field)\""
  elif $field == "email" then if is_email then "" else "not an e-mail address" end
  elif is_host then ""
  else "not the name of a domain; one that is not ASCII is written in its xn-- form" end;
# A number that jq may have rounded would be the id of another.
def id_fault:
  if type == "number" and . == floor and fabs < 9007199254740992 then ""
  elif type == "string" and . != "" and (has_control | not) then ""
  else "\"id\" is neither a whole number (below 2^53) nor a string" end;
def password_fault:
  if type != "string" then "no \"password\", or it is not a string"
  elif . == "" then "the password is empty"
  elif contains("\ufffd") then "the password is not UTF-8"
  elif has_control then "a control character in the password (a carriage return: is the file from Windows?)"
  else "" end;

def is_by_id: type == "object" and ($command | startswith("delete")) and (has($field) | not) and has("id");
def fault:
  def password: if $command == "add" or $command == "password" then .password | password_fault else "" end;
  if type != "object" then "not a JSON object"
  elif is_by_id then .id | id_fault
  else (.[$field] | key_fault) as $fault | if $fault != "" then $fault else password end end;

# --- the row
# Nothing of a faulty line but what names it: who knows what it holds.
def shown:
  if is_by_id then if .id | id_fault == "" then {id} else {} end
  elif type == "object" and (.[$field] | type == "string") then {($field): .[$field]}
  else {} end;
def body:
  if $command == "password" then {password} | tojson
  elif $command | startswith("add") then del(.id) | tojson
  else "" end;
def row($line):
  fault as $fault
  | [ ($line | tostring), $fault ]
    + if $fault != "" then ["", "", (shown | tojson), ""]
      elif is_by_id then ["", (.id | tostring | @uri), (shown | tojson), body]
      else [(.[$field] | ascii_downcase), "", (shown | tojson), body] end
  | join("\u001f");

# --- where it comes from
def numbered_lines: foreach inputs as $text (0; . + 1; {number: ., $text}) | select(.text | test("\\S"));
if $source == "lines" then
  numbered_lines | .number as $number | .text | (try [fromjson] catch []) | .[0] | row($number)
elif $source == "operands" then
  $ARGS.positional[] | {($field): .} | row(0)
else
  [inputs] as $lines
  | if $lines | length > 1 then
      ["1", "more than one line on standard input; the password is one line", "", "", "{}", ""] | join("\u001f")
    else {($field): $ARGS.positional[0], password: ($lines[0] // "")} | row(1) end
end
