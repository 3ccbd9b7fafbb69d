# The answer to a request, VERDICT US ACTION US LABEL US STATUS US WORDS US BODY US ANSWER, to "VERDICT {a line of output}".
# The verdict is ok, failed or stop. One that is given, stands; an empty one is made here, and so are the words.

# What is not JSON is null.
def parsed: (try [fromjson] catch []) | .[0];
def read:
  split("\u001f")
  | { verdict: .[0], action: .[1], shown: (.[2] | parsed), status: (.[3] | tonumber), words: .[4],
      body: (.[5] | parsed), answer: (.[6:] | join("\u001f") | parsed) };

def is_json: .answer | type == "object" or type == "array";
def says:
  if .answer | type == "object" then
    .answer | [.message, .error, .detail, .errors] | map(select(. != null and . != true and . != false)) | first // ""
    | if type == "string" then . else tojson end
  else "" end;
def is_refusal: .answer | type == "object" and ((.error // false) != false or .success == false or .ok == false);
def http($words): "HTTP \(.status)" + if $words == "" then "" else ": " + $words end;

def judged($verdict; $action; $words): . + {verdict: $verdict, action: $action, words: $words};
def failed($words): judged("failed"; "failed"; $words);
def stop($words): judged("stop"; "failed"; $words);
def judged:
  if .status == 401 or .status == 403 then stop("HTTP \(.status): not allowed; see --token-file")
  elif .status == 429 or .status == 503 then stop(http(says) + "; it asks for patience: try later")
  elif .status >= 300 and .status < 400 then stop("HTTP \(.status): sent elsewhere (a login page?); see --url and --token-file")
  elif .status == 404 and is_json and .action == "deleted" then judged("ok"; "missing"; says)
  elif .status == 404 and is_json and .action == "changed" then judged("failed"; "missing"; says)
  elif .status == 404 or .status == 405 then failed(http(says) + "; the API may not offer this request")
  elif .status == 409 and .action == "added" then judged("ok"; "exists"; says)
  elif .status < 200 or .status > 299 then failed(http(says))
  elif .status == 204 then judged("ok"; .action; "")
  elif is_json | not then
    stop("HTTP \(.status): the answer is not JSON (a login page?), whether it was done is not known; see --url and --token-file")
  elif is_refusal then failed(http(says))
  else judged("ok"; .action; says) end;

# An answer may repeat the password, in more spellings than can be cut out: then nothing of it is shown.
def without_entities:
  reduce (["&quot;", "\""], ["&#34;", "\""], ["&#39;", "'"], ["&#x27;", "'"], ["&apos;", "'"], ["&lt;", "<"], ["&gt;", ">"],
    ["&amp;", "&"]) as [$entity, $character] (.; split($entity) | join($character));
def longest_word: [scan("[A-Za-z0-9]{4,}")] | max_by(length) // "";
def repeats($secret):
  [., without_entities] as $texts
  | any(($secret | ., (tojson | .[1:-1]), @uri) as $spelling | $texts[] | contains($spelling); .)
    or ($secret | longest_word | ascii_downcase | . != "" and (. as $word | $texts[0] | ascii_downcase | contains($word)));
def message:
  (.body | if type == "object" then .password // "" else "" end) as $secret
  | if .words == "" and .action == "exists" then "exists already; nothing was changed"
    elif .words == "" and .action == "missing" then "it does not exist"
    elif .words == "" then .action
    elif $secret != "" and (.words | repeats($secret)) then
      "HTTP \(.status); what the API says repeats the password and is not shown"
    else .words[:500] end;

def new_id:
  if .action == "added" and (.answer | type == "object") then
    .answer | (.id // .user.id? // .domain.id? // .data.id?) | select(type == "number" or type == "string") | {id: .}
  else {} end;
def line:
  read | if .verdict == "" then judged else . end
  | .verdict + " " + (.shown + (new_id // {})
      + {action, status: (if .status == 0 then null else .status end), message: message}
      + if $dry_run == "" then {} else {dry_run: true} end | tojson);

# Without a line for a line, the shell would wait for ever.
try line catch ("stop " + ({action: "failed", status: null, message: "the answer cannot be judged"} | tojson))
