"""`pip install ARGUMENTS` for this Python, by uv if pip can get it: in a tenth of the time.

uv reads none of pip's settings, so what they say of where packages come from is handed to uv.
Where uv cannot be had, or fails, pip does all of it.
"""

import ast
import os
import subprocess
import sys

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
SOURCES = ("index-url", "extra-index-url", "find-links", "constraint", "no-index")


def pip_settings() -> dict[str, str]:
    """What `pip install` goes by, from its files and from the environment, which has precedence."""
    listed = subprocess.run((*PIP, "config", "list"), capture_output=True, text=True, check=True)
    found = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        found[name] = ast.literal_eval(value)
    return {
        name.removeprefix(f"{section}."): value
        for section in ("global", "install", ":env:")
        for name, value in found.items()
        if name.startswith(f"{section}.")
    }


def uv_options(settings: dict[str, str]) -> list[str]:
    """The same of uv; pip takes the best version that any of its sources has."""
    options = ["--index-strategy=unsafe-best-match"]
    for name in SOURCES:
        for value in settings.get(name, "").split():
            if name != "no-index":
                options.append(f"--{name}={value}")
            elif value.lower() in ("1", "true", "yes", "on"):
                options.append("--no-index")
    return options


def main(arguments: list[str]) -> int:
    """Install; returns the exit code."""
    settings = pip_settings()
    environment = dict(os.environ)
    for name, variable in (("cert", "SSL_CERT_FILE"), ("default-timeout", "UV_HTTP_TIMEOUT")):
        if name in settings:
            environment[variable] = settings[name]
    uv = (sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable)
    done = (
        subprocess.call((*PIP, "install", "--quiet", "uv")) == 0
        and subprocess.call((*uv, "--quiet", *uv_options(settings), *arguments), env=environment)
        == 0
    )
    return 0 if done else subprocess.call((*PIP, "install", "--quiet", *arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
