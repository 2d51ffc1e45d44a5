import pytest

from cis_provider.workspaces.git import Answer, failure, masked


@pytest.mark.parametrize(
    ("complaint", "way_out"),
    [
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", "credential helper"),
        ("fatal: detected dubious ownership in repository at '/r'", "safe.directory"),
        ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", "ssh key"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "network"),
        ("fatal: not a git repository (or any of the parent directories): .git", "name a folder"),
    ],
)
def test_an_error_of_git_comes_with_its_line_the_place_and_a_way_out(
    complaint: str, way_out: str, tmp_path
) -> None:
    message = failure(
        ["fetch", "origin"], tmp_path, Answer(128, "", f"remote: noise\n{complaint}\nhint: more\n")
    )
    assert "git fetch" in message and str(tmp_path) in message
    assert complaint.splitlines()[-1] in message
    assert way_out in message
    assert "hint: more" not in message


def test_a_password_in_an_address_is_not_repeated() -> None:
    text = "fatal: unable to access 'https://me:secret@example.com/r.git/': no"
    assert "secret" not in masked(text) and "example.com/r.git" in masked(text)
    assert "secret" not in Answer(128, "", text).complaint
