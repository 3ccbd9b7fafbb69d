"""Writes a corpus of mail, draws questions from it, and answers them by reading every message with the email library.

slow_reader.py DIRECTORY SEED MESSAGES QUESTIONS: the mail goes below DIRECTORY; the questions come out as JSON, each with
the flags of mail-restore and the paths of the messages that fit.
"""

import base64
import email
import email.message
import email.utils
import fnmatch
import html.parser
import json
import os
import quopri
import random
import re
import sys
import unicodedata
import urllib.parse

NAMES = ["Müller & Söhne", "取引先株式会社", "Łukasz Żółć", "Иван Петров", "Jose\u0301 García", "ＡＢＣ商事", "plain name", "ﾔﾏﾀﾞ太郎"]
HOSTS = ["customer.example", "supplier.example", "例え.example", "Lists.Example"]
WORDS = [
    "estimate", "Invoice", "STRASSE", "Straße", "café", "CAFE\u0301", "naïve", "見積書", "御請求書", "バックアップ", "ﾊﾞｯｸｱｯﾌﾟ",
    "Ｑ１２３", "договор", "ΟΔΟΣ", "12,345", "a=b", "100%", "re:", "<tag>", "&amp;", "ver\u00adtrag", "résumé", "한국어", "end.",
    "to\u200etal",
]
CHARSETS = ["utf-8", "iso-2022-jp", "shift_jis", "euc-jp", "iso-8859-1", "iso-8859-2", "koi8-r", "windows-1252", "us-ascii"]
FILES = ["Estimate 12.pdf", "見積書２.pdf", "naïve.DOCX", "a b.zip", "請求.xlsx", "photo.JPG"]
START = 1780000000


class Corpus:
    def __init__(self, random):
        self.random = random

    def charset(self, text):
        for charset in self.random.sample(CHARSETS, len(CHARSETS)):
            try:
                text.encode(charset)
                return charset
            except UnicodeEncodeError:
                continue
        raise AssertionError(text)

    def word(self, text):
        charset = self.charset(text)
        how = self.random.choice("bqr" if charset == "utf-8" else "bq")
        if how == "r":
            return text.encode()
        data = text.encode(charset)
        if how == "b":
            body = base64.b64encode(data)
        else:
            body = b"".join(b"_" if c == 32 else b"=%02X" % c for c in data)
        return b"=?%s?%s?%s?=" % (charset.encode(), how.upper().encode(), body)

    def sentence(self, words):
        return " ".join(self.random.choices(WORDS, k=words))

    def address(self):
        host = self.random.choice(HOSTS[:2] + HOSTS[3:])
        return b"%s <u%d@%s>" % (self.word(self.random.choice(NAMES)), self.random.randrange(9), host.encode())

    def text_part(self, kind):
        lines = [self.sentence(self.random.randrange(1, 8)) for _ in range(self.random.randrange(1, 4))]
        if kind == "html":
            lines = [self.marked(line) for line in lines]
            text = "<html><head><style>p { color: estimate }</style></head><body>" + "<br>\n".join(lines) + "</body></html>"
        else:
            text = "\n".join(lines)
        charset = self.charset(text)
        data = text.replace("\n", "\r\n" if self.random.random() < 0.5 else "\n").encode(charset)
        return self.carried(b"text/%s; charset=%s" % (kind.encode(), charset.encode()), data, b"")

    def marked(self, line):
        line = line.replace("&", "&amp;").replace("<", "&lt;")
        if self.random.random() < 0.5:
            return "<p>%s</p>" % line
        at = self.random.randrange(len(line) + 1)
        whole = not re.search(r"&[^;]*$", line[:at])
        return line[:at] + "<b>" + line[at:] + "</b>" if whole else "<div>%s</div>" % line

    def carried(self, kind, data, more):
        encoding = self.random.choice([b"base64", b"quoted-printable", b"8bit"])
        if encoding == b"base64":
            data = base64.encodebytes(data)
        elif encoding == b"quoted-printable":
            data = quopri.encodestring(data)
        return b"Content-Type: %s\nContent-Transfer-Encoding: %s\n%s\n%s\n" % (kind, encoding, more, data)

    def attachment(self):
        name = self.random.choice(FILES)
        if self.random.random() < 0.5:
            value = b"filename*=utf-8''" + urllib.parse.quote(name).encode()
        else:
            value = b'filename="' + self.word(name) + b'"'
        head = b"Content-Disposition: attachment; " + value + b"\n"
        return b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n" + head + b"\n" + base64.encodebytes(
            self.random.randbytes(100)
        )

    def entity(self, depth=0):
        kind = self.random.randrange(6 if depth < 4 else 2)
        if kind < 2:
            return self.text_part("plain")
        if kind == 2:
            return self.text_part("html")
        if kind == 3:
            return self.attachment()
        if kind == 4:
            return b"Content-Type: message/rfc822\n\n" + self.message(depth + 1)
        boundary = b"=_%d_%d" % (depth, self.random.randrange(10**9))
        parts = [self.entity(depth + 1) for _ in range(self.random.randrange(1, 4))]
        body = b"".join(b"--%s\n%s\n" % (boundary, part) for part in parts)
        return b'Content-Type: multipart/mixed; boundary="%s"\n\n%s--%s--\n' % (boundary, body, boundary)

    def message(self, depth=0):
        head = b"From: %s\nTo: %s\n" % (self.address(), b",\n ".join(self.address() for _ in range(self.random.randrange(1, 9))))
        if self.random.random() < 0.3:
            head += b"Cc: " + self.address() + b"\n"
        if self.random.random() < 0.9:
            words = [self.word(self.random.choice(WORDS)) for _ in range(self.random.randrange(1, 4))]
            head += b"Subject: " + b"\n ".join(words) + b"\n"
        head += b"Message-ID: <%d@example>\n" % self.random.randrange(10**12)
        return head + b"MIME-Version: 1.0\n" + self.entity(depth)


def header(message, name):
    values = [value for key, value in message.raw_items() if key.lower() == name.lower()]
    if not values:
        return ""
    raw = values[0].encode("utf-8", "surrogateescape")
    raw = re.sub(rb"[\r\n]+", b"", raw)
    # Between two encoded words, white space is nothing.
    raw = re.sub(rb"(\?=)[ \t]+(=\?)", rb"\1\2", raw)
    out, at = "", 0
    for word in re.finditer(rb"=\?([^?]+)\?([bBqQ])\?([^?]*)\?=", raw):
        out += raw[at : word.start()].decode("utf-8", "replace")
        charset, how, body = word.groups()
        if how in b"bB":
            data = base64.b64decode(body)
        else:
            data = quopri.decodestring(body.replace(b"_", b"=20"))
        out += data.decode(charset.decode(), "replace")
        at = word.end()
    return out + raw[at:].decode("utf-8", "replace")


class Shown(html.parser.HTMLParser):
    INLINE = {"b", "i", "a", "span", "em", "strong"}

    def __init__(self):
        super().__init__()
        self.text, self.hidden = "", 0

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("style", "script")
        self.text += "" if tag in self.INLINE else "\n"

    def handle_endtag(self, tag):
        self.hidden -= tag in ("style", "script")
        self.text += "" if tag in self.INLINE else "\n"

    def handle_data(self, data):
        self.text += "" if self.hidden else data


def texts(message):
    yield header(message, "Subject")
    for part in message.walk():
        kind = part.get_content_type()
        if kind == "message/rfc822":
            for inner in part.get_payload():
                yield header(inner, "Subject")
        if not kind.startswith("text/"):
            continue
        data = part.get_payload(decode=True).decode(part.get_content_charset() or "utf-8", "replace")
        if kind == "text/html":
            shown = Shown()
            shown.feed(data)
            shown.close()
            data = shown.text
        yield data


def files(message):
    for part in message.walk():
        # Python makes question marks of names that stand there as raw bytes.
        raw = {key.lower(): value for key, value in part.raw_items()}.get("content-disposition", "")
        holder = email.message.Message()
        holder["Content-Disposition"] = raw.encode("ascii", "surrogateescape").decode("utf-8", "replace")
        name = holder.get_param("filename", header="content-disposition")
        if isinstance(name, tuple):
            name = email.utils.collapse_rfc2231_value(name)
        if name is not None:
            holder = email.message.Message()
            holder["X"] = name
            yield header(holder, "X")


def folded(text):
    text = re.sub("[\u00ad\u200b-\u200f\u2060\ufeff]", "", unicodedata.normalize("NFKC", text)).casefold()
    text = re.sub("(?<=[\u2e80-\u9fff])\\s*[\r\n]\\s*(?=[\u2e80-\u9fff])", "", text)
    return re.sub(r"\s+", " ", text).strip()


def fits(flag, value, read):
    if flag == "--attachment":
        return any(fnmatch.fnmatchcase(folded(name), folded(value)) for name in read["--attachment"])
    return any(folded(value) in text for text in read[flag])


def main():
    directory, seed, messages, questions = sys.argv[1], *map(int, sys.argv[2:])
    chance = random.Random(seed)
    corpus = Corpus(chance)
    read = {}
    for number in range(messages):
        content = corpus.message()
        name = "example.com/%s/cur/%d.M%dP1.mx:2,S" % (chance.choice(["alice", "bob"]), START + number, number)
        os.makedirs(os.path.dirname(os.path.join(directory, name)), exist_ok=True)
        with open(os.path.join(directory, name), "wb") as file:
            file.write(content)
        os.utime(os.path.join(directory, name), (START + number, START + number))
        parsed = email.message_from_bytes(content)
        read[name] = {
            "--sender": [folded(header(parsed, "From"))],
            "--recipient": [folded(header(parsed, "To")), folded(header(parsed, "Cc"))],
            "--subject": [folded(header(parsed, "Subject"))],
            "--text": [folded(text) for text in texts(parsed)],
            "--attachment": list(files(parsed)),
        }
    answers = []
    values = {
        "--sender": NAMES + HOSTS + ["u3@"],
        "--recipient": NAMES + HOSTS + ["u7@", ", "],
        "--subject": WORDS,
        "--text": WORDS + [corpus.sentence(2) for _ in range(40)],
        "--attachment": ["*.pdf", "*.PDF", "見積*", "estimate*", "*naïve*", "?.zip", "a b.*"],
    }
    for _ in range(questions):
        asked = [(flag, chance.choice(values[flag])) for flag in chance.sample(sorted(values), chance.choice([1, 1, 2]))]
        fitting = [name for name, of in read.items() if all(fits(flag, value, of) for flag, value in asked)]
        flags = ["%s=%s" % pair for pair in asked]
        answers.append({"flags": flags, "paths": sorted(fitting)})
    json.dump(answers, sys.stdout)


main()
