import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from osae_theory.metrics import match
from osae_theory.sae import OrderedSAE
from realdata import __main__ as command
from realdata.__main__ import main
from realdata.checkpoints import load
from realdata.checkpoints.ours import Origin, TopMCheckpoint, write_ours
from realdata.commands._preset import preset_of

D, K, M = 10, 12, 3


def write(folder, seed, d=D, n_latents=K):
    random = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(n_latents, d, generator=random), dim=1)
    checkpoint = TopMCheckpoint(
        encoder=atoms.T.clone(),
        encoder_bias=torch.zeros(n_latents),
        decoder=atoms,
        decoder_bias=torch.zeros(d),
        input_mean=torch.zeros(d),
        input_scale=torch.ones(d),
        m=M,
        activation="relu",
        origin=Origin(method="osae"),
    )
    write_ours(folder, checkpoint)
    return str(folder)


@pytest.fixture
def checkpoints(tmp_path):
    return [write(tmp_path / f"sae-{seed}", seed) for seed in range(3)]


def refused(capsys, arguments):
    """Return the one line that bad input gives."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    return error


def test_json_is_one_document_on_stdout_with_the_fields_that_are_promised(capsys, checkpoints):
    assert main(["compare", *checkpoints, "--prefixes", "8", "4", "--json"]) == 0
    out, _ = capsys.readouterr()
    document = json.loads(out, parse_constant=pytest.fail)
    assert list(document) == ["dictionaries", "order", "prefixes", "pairs", "summary"]
    assert [one["name"] for one in document["dictionaries"]] == checkpoints
    assert document["dictionaries"][0].items() >= {"format": "ours", "d": D, "K": K, "k": M}.items()
    assert document["order"] == "trained"
    assert document["prefixes"] == [4, 8]
    assert len(document["pairs"]) == 3 * 2
    fields = {"a", "b", "prefix", "stab", "stab_abs", "ord", "ord_abs", "left_out", "left_out_abs"}
    fields |= {"ord_least", "ord_greatest", "stab_bound", "stab_abs_bound", "chance"}
    fields |= {"overlap", "overlap_chance", "largest_angle"}
    assert all(set(pair) == fields for pair in document["pairs"])
    first = document["pairs"][0]
    assert (first["a"], first["b"]) == tuple(checkpoints[:2])
    decoders = [load(name).decoder[: first["prefix"]].T for name in checkpoints[:2]]
    assert first["stab"] == pytest.approx(match(*decoders).stability, abs=1e-6)


def test_a_table_is_printed_and_files_are_written_where_asked(capsys, checkpoints, tmp_path):
    assert main(["compare", *checkpoints, "--out", str(tmp_path / "out")]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("|")
    assert "Ord" in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    figures = {f"comparison.{suffix}" for suffix in ("png", "pdf", "svg")}
    assert names == {"comparison.json", "comparison.md", "pairs.csv", "summary.csv"} | figures
    assert (tmp_path / "out" / "comparison.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (tmp_path / "out" / "comparison.svg").read_text()


def test_what_latents_do_on_activations_orders_compares_and_matches_them(
    capsys, checkpoints, tmp_path
):
    x = np.random.default_rng(0).standard_normal((400, D)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    given = ["compare", *checkpoints, "--labels", "a", "b", "c", "--prefixes", "4"]
    given += ["--activations", str(tmp_path / "x.npy"), "--sort-by", "energy", "--matches"]
    assert main([*given, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    for words in ("Stab_Z", "from the latent that adds most", "a with b: ", "by chance (sd)"):
        assert words in printed
    document = json.loads((tmp_path / "out" / "comparison.json").read_text())
    matrix = printed.split("Stab above the diagonal")[0]
    [row] = [line for line in matrix.splitlines() if line.startswith("| a ") and " 0." in line]
    stab = [one["stab"] for one in document["pairs"] if one["a"] == "a"]
    assert [f"{value:.3f}" for value in stab] == [cell.strip() for cell in row.split("|")[3:5]]
    assert document["order"] == "energy"
    assert set(document["activations"]) == {"prefixes", "pairs", "summary"}
    assert "chance" not in document["activations"]["pairs"][0]
    added = np.maximum(x @ load(checkpoints[0]).encoder.numpy(), 0)
    added[added < np.sort(added, axis=1)[:, -M, None]] = 0
    strongest = np.argsort(-(added**2).sum(axis=0))
    table = pd.read_csv(tmp_path / "out" / "matches.csv").query("a == 'a' and b == 'b'")
    assert list(table["latent_a"]) == list(strongest)
    decoders = [load(name).decoder for name in checkpoints[:2]]
    pairs = [
        [decoder[i] for i in table[f"latent_{side}"]]
        for decoder, side in zip(decoders, "ab", strict=True)
    ]
    np.testing.assert_allclose(np.sum(np.multiply(*pairs), axis=1), table["cosine"], atol=1e-6)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"matches.parquet", "pairs_activations.csv", "summary_activations.csv"} <= names
    substituted = pd.read_csv(tmp_path / "out" / "substitutions.csv")
    assert substituted.to_dict("records") == document["substitutions"]
    assert len(substituted) == 6
    assert "| directions of" in printed


def test_whole_numbers_that_one_checkpoint_lacks_stay_whole(capsys, checkpoints, tmp_path):
    np.save(tmp_path / "atoms.npy", load(checkpoints[0]).decoder)
    assert main(["compare", checkpoints[0], str(tmp_path / "atoms.npy"), "--prefixes", "4"]) == 0
    row = capsys.readouterr().out.splitlines()[2]
    assert str(M) in [cell.strip() for cell in row.split("|")]


def test_where_the_files_went_is_said_on_standard_error(capsys, checkpoints, tmp_path):
    out = tmp_path / "out"
    assert main(["compare", *checkpoints, "--json", "--prefixes", "4", "--out", str(out)]) == 0
    printed, said = capsys.readouterr()
    assert json.loads(printed)
    assert said == f"written to {out}\n"


def test_correlations_without_the_memory_are_refused_before_latents_are_computed(
    capsys, monkeypatch, checkpoints, tmp_path
):
    monkeypatch.setattr("realdata.comparison.prefixes.available_memory", lambda: 4000)
    monkeypatch.setattr("realdata.comparison.dictionaries._latents", None)
    np.save(tmp_path / "x.npy", np.eye(D, dtype=np.float32))
    given = ["compare", *checkpoints, "--activations", str(tmp_path / "x.npy")]
    said = refused(capsys, given)
    assert "12 latents take 4,608 bytes of memory: expected at most 4,000" in said


def test_an_interrupted_comparison_leaves_nothing_and_promises_nothing(
    capsys, monkeypatch, checkpoints, tmp_path
):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("realdata.report.comparison.pair_frame", interrupt)
    out = tmp_path / "out"
    assert main(["compare", *checkpoints, "--prefixes", "4", "--out", str(out)]) == 130
    printed, said = capsys.readouterr()
    assert printed == ""
    assert said.endswith("realdata: interrupted\n")
    assert not out.exists()
    train = replace(command.COMMANDS["train"], do=interrupt)
    monkeypatch.setattr(command, "COMMANDS", {"train": train})
    given = ["train", "S", "--K", "8", "--m", "2", "--steps", "3", "--lr", "1", "--out", "o"]
    assert main(given) == 130
    assert "goes on with the runs it has finished" in capsys.readouterr().err


def test_widths_may_differ_and_a_checkpoint_may_be_held_against_itself(
    capsys, checkpoints, tmp_path
):
    wide = write(tmp_path / "wide", 9, n_latents=20)
    assert main(["compare", checkpoints[0], wide, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prefixes"] == [4, 8, 12]
    assert main(["compare", checkpoints[0], checkpoints[0], "--json"]) == 0
    for pair in json.loads(capsys.readouterr().out)["pairs"]:
        assert pair["stab"] == pytest.approx(1, abs=1e-6)
        assert pair["ord"] == 1
        assert (pair["a"], pair["b"]) == (checkpoints[0], f"{checkpoints[0]} (2)")


def test_apply_writes_latents_and_reconstruction(capsys, checkpoints, tmp_path):
    x = np.random.default_rng(0).normal(size=(7, D)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "out"
    assert main(["apply", checkpoints[0], str(tmp_path / "x.npy"), "--out", str(out)]) == 0
    sae = load(checkpoints[0])
    latents = sae.encode(torch.from_numpy(x))
    assert np.array_equal(np.load(out / "latents.npy"), latents.numpy())
    rebuilt = sae.decode(latents, torch.from_numpy(x)).numpy()
    assert np.array_equal(np.load(out / "reconstruction.npy"), rebuilt)
    assert capsys.readouterr().out.split() == [
        *(str(out / "latents.npy"), str(out / "reconstruction.npy"))
    ]


def test_an_export_reads_as_a_saelens_checkpoint_with_the_same_latents(checkpoints, tmp_path):
    assert main(["export", checkpoints[0], "--out", str(tmp_path / "out")]) == 0
    ours, theirs = load(checkpoints[0]), load(str(tmp_path / "out"))
    x = torch.randn(20, D, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(theirs.encode(x), ours.encode(x))
    assert theirs.metadata["format"] == "saelens"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "A"], "1 checkpoint: expected at least two"),
        (["compare", "A", "nowhere"], "nowhere"),
        (["compare", "A", "B", "--prefixes", "13"], "prefix = 13: expected at most 12"),
        (["compare", "A", "B", "--prefixes", "0"], "prefix = 0"),
        (["compare", "A", "B", "--prefixes", "x"], "invalid int value: 'x'"),
        (["compare", "A", "B", "--sort-by", "energy"], "expected --activations"),
        (["compare", "A", "B", "--sort-by", "enegry"], "(did you mean 'energy'?)"),
        (["compare", "A", "B", "--sinkhorn", "0"], "--sinkhorn = 0"),
        (["compare", "A", "B", "--labels", "a"], "--labels a: expected 2 different names"),
        (["compare", "A", "B", "--labels", "a", "a"], "--labels a a: expected 2 different names"),
        (["compare", "A", "B", "--labels", "", "b"], "expected 2 different names"),
        (["compare", "A", "B", "--activations", "absent.npy"], "absent.npy"),
        (["compare", "A", "B", "--activations", "same.npy"],
         "same.npy holds one activation throughout: expected at least two different"),
        (["compare", "A", "B", "--activations", "one.npy"], "one.npy holds one activation"),
        (["compare", "A", "absent", "--activations", "same.npy"], "absent does not exist"),
        (["compare", "A", "B", "--activations", "same.npy", "--prefixes", "13"], "prefix = 13"),
        (["compare", "A", "narrow"], "atoms of length 8: expected 10"),
        (["apply", "A", "absent.npy", "--out", "out"], "absent.npy"),
        (["apply", "A", "x.npy"], "--out"),
        (["export", "absent", "--out", "out"], "absent"),
        (["redraw", "absent"], "'absent' cannot be drawn"),
        (["run", "--preset", "smollm"], "preset 'smollm' is unknown (did you mean"),
        (["run", "--methods", "osea"], "method 'osea' is unknown"),
        (["run", "--K", "8"], "m = 16: expected at most K = 8"),
        (["run", "--workers", "0"], "--workers = 0"),
        (["run", "--device", "abacus"], "device 'abacus' is unknown"),
        (["run", "--lr", "nan"], "--lr"),
        (["run", "--lr", "1", "--log", "paper"], "log 'paper' is unknown"),
        (["run", "--lr", "1", "--precision", "low"], "precision 'low' is unknown"),
        (["run", "--lr", "1", "--out", "file"], "--out 'file' cannot be written to"),
        (["run", "--lr", "1", "--cache", "file"], "--cache 'file' cannot be written to"),
        (["tune", "--cache", "file"], "--cache 'file' cannot be written to"),
        (["run", "--lr", "1", "--device", "hpu"], "device 'hpu' is not available"),
        (["compare", "~nosuchuser/sae", "B"], "~nosuchuser/sae names no user"),
        (["apply", "~nosuchuser/sae", "x.npy", "--out", "out"], "~nosuchuser/sae names no user"),
        (["export", "~nosuchuser/sae", "--out", "out"], "~nosuchuser/sae names no user"),
        (["compare", "A", "B", "--out", "nul\0x"], "cannot be written to"),
        (["compare", "A", "B", "--out", "y" * 300], "File name too long"),
        (["compare", "A", "y" * 3000], "cannot be read (File name too long)"),
        (["run", "--corpora", "a,b,c"], "expected one, or two different ones"),
        (["tune", "--steps", "-1"], "n_steps = -1"),
        (["train", "absent", "--K", "8", "--m", "2", "--steps", "3", "--lr", "1", "--out", "o"],
         "absent has no manifest.json"),
        (["paint"], "invalid choice: 'paint'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_nothing_is_written(
    capsys, monkeypatch, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    for name, seed, d in (("A", 0, D), ("B", 1, D), ("narrow", 2, 8)):
        write(tmp_path / name, seed, d)
    (tmp_path / "file").write_text("")
    for name, rows in (("same", 50), ("one", 1)):
        np.save(tmp_path / f"{name}.npy", np.ones((rows, D), dtype=np.float32))
    before = sorted(tmp_path.rglob("*"))
    assert message in refused(capsys, arguments)
    assert sorted(tmp_path.rglob("*")) == before


WITHOUT = """
import sys
for name in ("transformers", "transformer_lens", "gguf", "datasets", "huggingface_hub", "platformdirs"):
    sys.modules[name] = None
from realdata.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def without_model_libraries(*arguments):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False
    )


def test_compare_apply_and_export_need_no_model_library(checkpoints, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, D), dtype=np.float32))
    for arguments in (
        ["compare", *checkpoints, "--json"],
        ["apply", checkpoints[0], str(tmp_path / "x.npy"), "--out", str(tmp_path / "a")],
        ["export", checkpoints[0], "--out", str(tmp_path / "e")],
    ):
        done = without_model_libraries(*arguments)
        assert (done.returncode, done.stderr) == (0, "")


def test_run_without_the_model_libraries_names_the_target_that_installs_them(tmp_path):
    done = without_model_libraries(
        "run", "--lr", "0.01", "--out", str(tmp_path / "o"), "--cache", str(tmp_path / "c")
    )
    assert done.returncode == 2
    assert "make setup-realdata" in done.stderr
    assert done.stderr.count("\n") == 1


def test_options_change_the_preset_and_nothing_else():
    given = "--K 64 --m 8 --seeds 3 --seed 5 --steps 9 --tokens 500 --wide 0 --splice 0".split()
    options = command.parser().parse_args(["run", *given, "--methods", "osae,topk"])
    preset = preset_of(options)
    assert (preset.K, preset.m, preset.n_steps, preset.training_tokens) == (64, 8, 9, 500)
    assert preset.seeds == (5, 6, 7)
    assert (preset.wide, preset.splice_contexts) == (0, 0)
    assert preset.methods == ("osae", "topk")
    assert preset.other_m == (32,)
    plain = preset_of(command.parser().parse_args(["run"]))
    assert plain.name == "smollm2-135m"
    assert (preset.model, preset.batch_size) == (plain.model, plain.batch_size)
    assert (plain.wide, plain.other_m) == (1024, (8, 32))


def test_the_wide_sae_and_the_other_sparsities_follow_the_dictionary():
    def preset(*options):
        return preset_of(command.parser().parse_args(["run", *options]))

    assert preset("--K", "512").wide == 2048
    assert preset("--K", "20", "--m", "8").other_m == ()
    assert preset("--other-m", "3", "5").other_m == (3, 5)
    assert preset("--other-m").other_m == ()


def test_each_checkpoint_has_a_label_of_its_own_whatever_they_are_called(
    capsys, checkpoints, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "A").symlink_to(checkpoints[0])
    (tmp_path / "A (2)").symlink_to(checkpoints[1])
    assert main(["compare", "A", "A", "A (2)", "A", "--prefixes", "12", "--json"]) == 0
    pairs = json.loads(capsys.readouterr().out)["pairs"]
    assert len(pairs) == 6
    names = {pair[side] for pair in pairs for side in "ab"}
    assert names == {"A", "A (3)", "A (2)", "A (4)"}
    same = {(pair["a"], pair["b"]): pair["stab"] for pair in pairs}
    assert same["A", "A (3)"] == pytest.approx(1)
    assert same["A", "A (2)"] < 0.9


def test_a_comparison_that_cannot_be_written_is_one_sentence(
    capsys, checkpoints, monkeypatch, tmp_path
):
    (tmp_path / "out" / "comparison.png").mkdir(parents=True)
    said = refused(capsys, ["compare", *checkpoints, "--out", str(tmp_path / "out")])
    assert "comparison.png in it is a folder" in said

    def fills(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("realdata.report.comparison.write_files", fills)
    said = refused(capsys, ["compare", *checkpoints, "--out", str(tmp_path / "other")])
    assert "No space left on device" in said


def test_saved_estimators_are_compared_as_checkpoints_are(capsys, tmp_path):
    data = np.random.default_rng(0).standard_normal((200, D)).astype(np.float32)
    fits = [OrderedSAE(K, M, n_steps=10, random_state=seed).fit(1000 * data) for seed in (0, 1)]
    folders = [str(tmp_path / name) for name in ("first", "second")]
    for sae, folder in zip(fits, folders, strict=True):
        sae.save(folder)
    assert main(["compare", *folders, "--prefixes", str(K), "--json"]) == 0
    [pair] = json.loads(capsys.readouterr().out)["pairs"]
    expected = match(fits[0].components_.T, fits[1].components_.T)
    assert pair["stab"] == pytest.approx(expected.stability, abs=1e-6)


def test_every_file_of_commands_is_a_command_of_its_name():
    folder = Path(command.__file__).parent / "commands"
    files = {file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")}
    assert set(command.COMMANDS) == files
    # A name given twice would hide a command.
    assert len(command.COMMANDS) == len(command._MODULES)
