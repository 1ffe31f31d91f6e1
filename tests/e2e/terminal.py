"""A real terminal for programs that draw: a tmux server of its own, without anybody's configuration."""
import os
import re
import signal
import subprocess

from gateway import TIMEOUT, wait_for


class Terminal:
    """Runs COMMAND in a window of COLUMNS x ROWS; when it has ended, the window says "ended: STATUS"."""

    def __init__(self, folder, command, columns=80, rows=24, environment=()):
        self.socket = os.path.join(folder, "tmux")
        self.folder = folder
        for name in ("before", "after"):
            if os.path.exists(os.path.join(folder, name)):
                os.unlink(os.path.join(folder, name))
        variables = {key: value for key, value in os.environ.items()
                     if key not in ("TMUX", "NO_COLOR", "FUSEGATE_TOKEN", "FUSEGATE_ADMIN")}
        variables |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        command = ["env", *(f"{key}={value}" for key, value in environment), *command]  # tmux sets some itself
        script = 'trap : INT; stty -g >before; "$@"; echo "ended: $?"; stty -g >after; exec cat >/dev/null'
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-s", "t", "-c", folder,
                  "--", "sh", "-c", script, "sh", *command, env=variables)

    def tmux(self, *arguments, env=None):
        done = subprocess.run(["tmux", "-u", "-S", self.socket, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=TIMEOUT, env=env, check=False)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def close(self):
        """The program ends before its terminal does: a hang-up in the midst of a leak check would stop that for ever."""
        try:
            for pid in self.children():
                os.kill(pid, signal.SIGHUP)
            wait_for("the program ends", lambda: not self.children())
        except ProcessLookupError:
            pass
        finally:
            subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, timeout=TIMEOUT, check=False)

    # ---- the person in front of it ----

    def press(self, *keys):
        """Names as tmux has them (Enter, Down, Escape, C-c) or characters."""
        self.tmux("send-keys", "-t", "t", *keys)

    def type(self, text):
        self.tmux("send-keys", "-t", "t", "-l", text)

    def screen(self, colours=False):
        return self.tmux("capture-pane", "-p", *(["-e"] if colours else []), "-t", "t")

    def lines(self):
        return [line.rstrip() for line in self.screen().splitlines()]

    def until(self, *patterns, lacks=(), patience=TIMEOUT):
        """The screen, once all PATTERNS (regular expressions) are on it and none of LACKS is."""
        def look():
            screen = self.screen()
            found = all(re.search(one, screen, re.M) for one in patterns)
            return screen if found and not any(re.search(one, screen, re.M) for one in lacks) else None
        try:
            return wait_for(f"{patterns} on the screen, not {lacks}", look, patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def resize(self, columns, rows):
        self.tmux("resize-window", "-t", "t", "-x", str(columns), "-y", str(rows))

    # ---- the program in it ----

    def children(self):
        """Processes of the shell: the program, as long as it runs."""
        shell = self.tmux("display-message", "-p", "-t", "t", "#{pane_pid}").strip()
        with open(f"/proc/{shell}/task/{shell}/children") as file:
            return [int(pid) for pid in file.read().split()]

    def pid(self):
        return self.children()[0]

    def assert_restored(self, status=0):
        """The program has ended and left the terminal as it was."""
        self.until(rf"^ended: {status}$")
        wait_for("the shell has looked", lambda: os.path.exists(os.path.join(self.folder, "after")) and
                 os.path.getsize(os.path.join(self.folder, "after")))
        modes = [open(os.path.join(self.folder, name)).read() for name in ("before", "after")]
        assert modes[0] == modes[1]
        state = self.tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag} #{keypad_flag}")
        assert state.split() == ["0", "1", "0"], "alternate screen, cursor, keypad mode"
