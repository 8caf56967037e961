"""The page's printed output is what its commands print, and nothing else of the page changes."""

import pytest

from benchmarks.build_page import main

PAGE = """\
# Title

    echo one

<!-- output: mkdir -p made && echo 'one  ' && echo two | tr t T -->
```text
stale
```

Between.

<!-- output: ls -->
```text
```

    ```text of no command ```
"""


def test_each_block_becomes_what_its_command_prints(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    main([f"--page={page}"])
    expected = PAGE.replace("stale", "one\nTwo").replace(
        "<!-- output: ls -->\n```text\n", "<!-- output: ls -->\n```text\nmade\n"
    )
    assert page.read_text(encoding="utf-8") == expected
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.md"]


def test_a_failed_command_leaves_the_page_alone_and_is_told_in_its_own_words(tmp_path, capsys):
    page = tmp_path / "page.md"
    text = PAGE.replace("echo two | tr t T", "(echo no such thing >&2; exit 3) | cat")
    page.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        main([f"--page={page}"])
    assert page.read_text(encoding="utf-8") == text
    assert "exit code 3" in (message := capsys.readouterr().err) and "no such thing" in message


def test_a_page_without_commands_is_refused(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("# Title\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        main([f"--page={page}"])
    assert "<!-- output: COMMAND -->" in capsys.readouterr().err
