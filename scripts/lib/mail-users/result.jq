# VERDICT US ACTION US LABEL US STATUS US MESSAGE US BODY US ANSWER to "VERDICT {the line of output}". The verdict is ok, failed
# or stop; one that is empty is made here, from the answer.
# An answer may repeat the password, in more spellings than can be cut out: then nothing of it is shown.
def spellings: [., (tojson | .[1:-1]), @uri, @html, (@html | split("&quot;") | join("&#34;"))];
def longest_word: [scan("[A-Za-z0-9]{4,}")] | max_by(length) // empty | ascii_downcase;
def repeats($secret): . as $text | $secret != "" and (any($secret | spellings[]; . as $s | $text | contains($s))
  or any($secret | longest_word; . as $s | $text | ascii_downcase | contains($s)));
def says: [.message?, .error?, .detail?, .errors?] | map(select(. != null and . != true and . != false)) | first // ""
  | if type == "string" then . else tojson end;
def is_no: type == "object" and ((.error // false) != false or .success == false or .ok == false);
def default_words($action):
  if $action == "exists" then "exists already; nothing was changed" elif $action == "missing" then "there is no such one" else $action end;

def line: split("\u001f") as $f
| {verdict: $f[0], action: $f[1], label: ($f[2] | fromjson), status: ($f[3] | tonumber), words: $f[4]} as $in
| ($f[5] | (try fromjson catch null) | if type == "object" then .password // "" else "" end) as $secret
| ($f[6:] | join("\u001f") | (try {read: fromjson} catch {}) | .read) as $answer
| ($answer | if type == "object" then says else "" end) as $says
| def result($verdict; $action; $words): [$verdict, $action, $words];
  def is_json: $answer | type == "object" or type == "array";
  def http($words): "HTTP \($in.status)" + (if $words != "" then ": " + $words else "" end);
  (if $in.verdict != "" then result($in.verdict; $in.action; $in.words)
   elif $in.status == 401 or $in.status == 403 then result("stop"; "failed"; http($says) + "; not allowed: see --token-file")
   elif $in.status == 429 or $in.status == 503 then result("stop"; "failed"; http($says) + "; it asks for patience: try later")
   elif $in.status >= 300 and $in.status < 400 then result("stop"; "failed"; http("") + ": sent elsewhere (a login page?); see --url and --token-file")
   elif $in.status == 404 and is_json and $in.action == "deleted" then result("ok"; "missing"; $says)
   elif $in.status == 404 and is_json and $in.action == "changed" then result("failed"; "missing"; $says)
   elif $in.status == 409 and $in.action == "added" then result("ok"; "exists"; $says)
   elif $in.status == 404 or $in.status == 405 then result("failed"; "failed"; http($says) + "; the API may not offer this request")
   elif $in.status < 200 or $in.status >= 300 then result("failed"; "failed"; http($says))
   elif $in.status == 204 then result("ok"; $in.action; "")
   elif is_json | not then result("stop"; "failed"; http("") + ": the answer is not JSON (a login page?), whether it was done is not known; see --url and --token-file")
   elif $answer | is_no then result("failed"; "failed"; http($says))
   else result("ok"; $in.action; $says) end)
| . as [$verdict, $action, $words]
| (if $words == "" then default_words($action) elif $words | repeats($secret)
     then "HTTP \($in.status); what the API says repeats the password and is not shown" else $words[:500] end) as $message
| ($answer | if type == "object" then (.id // .user.id? // .domain.id? // .data.id?) else null end) as $id
| (if $in.action == "added" and $verdict == "ok" and ($id | type | . == "number" or . == "string") then {id: $id} else {} end) as $new
| $in.label + $new + {action: $action, status: (if $in.status == 0 then null else $in.status end), message: $message}
  + (if $dry_run == "yes" then {dry_run: true} else {} end)
| $verdict + " " + tojson;
# Without a line for a line, the shell would wait for ever.
try line catch ("stop " + ({action: "failed", status: null, message: "the answer cannot be judged"} | tojson))
