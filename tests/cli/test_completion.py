import pytest


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("sae fea", {"features"}),
        ("sae features l", {"label", "list"}),
        ("sae index comp", {"compact"}),
        ("sae search --boos", {"--boost"}),
    ],
)
def test_a_shell_is_told_what_may_follow(words, offered, monkeypatch, capfd):
    from steersearch.cli import commands, process

    for name, value in (
        ("COMP_WORDS", words),
        ("COMP_CWORD", str(words.count(" "))),
        ("_SAE_COMPLETE", "complete_bash"),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        process.run(commands.app, "sae")
    assert end.value.code == 0
    assert set(capfd.readouterr().out.split()) == offered
