"""Names of files and folders that usually hold secrets: passwords, keys, tokens, other people's sessions."""

from __future__ import annotations

import re

from server.embedded.normal_forms import normal

# What editors, people, tools and package managers add to the name of a copy: the copy is as secret as the file.
_BEFORE = re.compile(r"(?:copy(?: ?\(\d+\))? of |#|\.#)", re.IGNORECASE)
_ENDING = (
    r"~|\.~\d+~|#|\.(?:bak\d*|backup|old|orig|original|save|saved|copy|tmp|temp|dist|local|sw[a-z]|gz|bz2|xz|zst|zip|tar|tgz|7z|enc"
    r"|rpm(?:save|new|orig)|dpkg-\w+|ucf-\w+|pac(?:save|new|orig)|\d[\d.T_-]{0,24})"
)
# Also in front of the ending that says what the file is: `users (1).json`.
_MARK = (
    r"(?<![ _-])[ _-]++(?:(?:bak|backup|old|orig|copy)(?: \d+| \(\d+\))?|\d[\d.T_-]{0,24})"
    r"|(?<!\s)\s?\((?:(?:another |\d+\w\w )?copy(?: \d+)?|\d+)\)"
)
_BEHIND = re.compile(rf"(?:{_ENDING}|(?:{_MARK})(?P<kind>\.\w+)?)\Z", re.IGNORECASE)
_FOLDERS = (
    r"\.(ssh|gnupg|aws|azure|kube|docker|oci|aliyun|terraform\.d|password-store|pki|mozilla|thunderbird|git|svn|hg|vault|gcloud)"
    r"|gcloud|keyrings|chromium|google-chrome"
)
_ENVIRONMENTS = r"\.env([._-].*|rc)?|(.*[._-])env|env\.(local|prod|production|dev|development|staging|test)"
_KEYS = (
    r".*\.(pem|key|p12|pfx|p8|pkcs12|kdbx?|jks|keystore|bks|ppk|keychain(-db)?|keytab|keyring|gpg|pgp|asc|age|ovpn|agilekeychain"
    r"|opvault|psafe3|wallet|tfstate|tfvars|kubeconfig|rdp|cookies?)"
    r"|id_[^.]*|ssh_host_.*_key|krb5cc_.*|wallet\.dat|kubeconfig|key[34]\.db|cert[89]\.db"
)
_PROGRAMS = (
    r"[._]netrc|\.(pgpass|my\.cnf|mylogin\.cnf|npmrc|yarnrc(\.yml)?|pypirc|git-credentials|gitconfig|htpasswd|htdigest|s3cfg|boto"
    r"|dockercfg|terraformrc|vault-token|rhosts|esmtprc|msmtprc|fetchmailrc|smbcredentials|vnc|Xauthority|.*_history|histfile"
    r"|lesshst|viminfo)|pgpass\.conf|rclone\.conf|wp-config\.php|hosts\.yml|settings-security\.xml|\.rediscli_auth"
    r"|g?shadow-?|sudoers(\.d)?|opasswd|master\.passwd|htpasswd|users\.json|token\.json|auth\.json|logins\.json|signons\.sqlite|cookies(\.sqlite)?|login data"
)
_WORDS = r"(.*[._ -])?(secrets?|credentials?|creds?|api[._-]?keys?|private[._-]?keys?|service[._-]?account)([._ -].*)?"
_PASSWORDS = r".*(passwords?|passwd|passphrases?)([._ -].*)?"

_SECRET = re.compile(
    "|".join(f"(?:{part})" for part in (_FOLDERS, _ENVIRONMENTS, _KEYS, _PROGRAMS, _WORDS, _PASSWORDS)), re.IGNORECASE
)
_PUBLIC = re.compile(r".*\.pub", re.IGNORECASE)  # the public half of a key
MOST_SUFFIXES = 4  # of copies of copies
MAX_ADDED_CHARS = 48  # by one of them
MAX_NAME_CHARS = 255  # as in file systems


def is_secret_name(name: str) -> bool:
    """True if a file or folder of this name, or what it is a copy of, usually holds secrets."""
    # also of letters of full width; some letters become eighteen
    name = normal("NFKC", name[:MAX_NAME_CHARS]).strip()[:MAX_NAME_CHARS]
    for _ in range(MOST_SUFFIXES + 1):
        if _SECRET.fullmatch(name) and not _PUBLIC.fullmatch(name):
            return True
        begun = _BEFORE.match(name)
        shorter = name[begun.end() :] if begun else name
        if added := _BEHIND.search(shorter, max(0, len(shorter) - MAX_ADDED_CHARS)):
            shorter = shorter[: added.start()] + (added["kind"] or "")
        if shorter == name:
            break
        name = shorter
    # an editor's swap file and its like: `.users.json.swp`
    bare = name.lstrip(".")
    hidden = len(name) - len(bare)
    return hidden > 0 and is_secret_name(f".{bare}" if hidden > 1 else bare)
