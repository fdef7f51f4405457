import gzip
from dataclasses import replace

import pytest

from osae_theory.errors import InputError
from realdata.text.corpora import CORPORA
from realdata.text.debian import FORMS, DebianPackage, plain_pod, plain_roff

PAGE = r""".\" a comment
'\" t
.TH read 2 2022-12-04 "Linux man-pages 6.03"
.SH NAME
read \- read from a file descriptor
.SH SYNOPSIS
.nf
.BI "ssize_t read(int " fd ", void " buf [. count ]);
.fi
.SH "RETURN VALUE"
If \fIcount\fP is zero,
.BR read ()
may \(aqwait\(aq for \f[B]a\f[R] \en. \" aside
.TS
tab(:);
l l.
Interface:Value
.TE
.PP
Then
.B nothing
"""


def installed(root, package, files):
    """Put a package's files below a root, with the list that dpkg keeps of them."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    lists = root / "var/lib/dpkg/info"
    lists.mkdir(parents=True, exist_ok=True)
    listed = "".join(f"/{name}\n" for name in ("usr", *files))
    (lists / f"{package}.list").write_text(listed)


def texts(source):
    return {document.name: document.text for document in source.documents()}


def test_the_files_of_a_package_are_its_documents_and_those_of_others_are_not(tmp_path):
    page = "usr/share/man/man2/read.2.gz"
    installed(tmp_path, "manpages-dev", {page: gzip.compress(PAGE.encode()), "usr/other.txt": "x"})
    (tmp_path / "usr/share/man/man2/other.2.gz").write_bytes(gzip.compress(b"of another package"))
    source = DebianPackage("manpages-dev", "usr/share/man/man?/*.gz", "roff", tmp_path)
    assert texts(source) == {f"manpages-dev:{page}": plain_roff(PAGE).strip()}


def test_text_that_is_packed_or_not_is_read_alike_and_links_and_empty_files_are_left_out(tmp_path):
    folder = "usr/share/doc/anarchism/markdown"
    packed = gzip.compress("# Größe\n\nText".encode())
    files = {f"{folder}/a.md.gz": packed, f"{folder}/b.md": "# B", f"{folder}/c.md": " \n"}
    installed(tmp_path, "anarchism", files | {f"{folder}/d.md": ""})
    (tmp_path / folder / "d.md").unlink()
    (tmp_path / folder / "d.md").symlink_to("b.md")
    source = replace(CORPORA["debian-prose"].sources[0], root=tmp_path)
    assert list(texts(source).values()) == ["# Größe\n\nText", "# B"]


def test_a_file_that_is_not_utf_8_is_latin_1(tmp_path):
    installed(tmp_path, "old", {"usr/a.pod": "=head1 caf\xe9".encode("latin-1")})
    assert texts(DebianPackage("old", "usr/*.pod", "pod", tmp_path)) == {"old:usr/a.pod": "café"}


@pytest.mark.parametrize("name", ["debian-prose", "debian-manuals"])
def test_a_package_that_is_missing_is_named_with_the_way_to_install_it(tmp_path, name):
    for source in CORPORA[name].sources:
        with pytest.raises(InputError, match=f"expected apt-get install {source.package}"):
            next(replace(source, root=tmp_path).documents())
        assert source.form in FORMS


def test_a_package_without_its_documents_or_with_a_damaged_one_is_refused(tmp_path):
    installed(tmp_path, "thin", {"usr/other": "x"})
    with pytest.raises(InputError, match=r"thin is installed without usr/\*\.md"):
        next(DebianPackage("thin", "usr/*.md", root=tmp_path).documents())
    installed(tmp_path, "cut", {"usr/a.md.gz": gzip.compress(b"text")[:-6]})
    with pytest.raises(InputError, match=r"a\.md\.gz cannot be read"):
        next(DebianPackage("cut", "usr/*.gz", root=tmp_path).documents())


def test_a_manual_page_is_its_text_without_requests_fonts_and_tables():
    assert plain_roff(PAGE).strip().splitlines() == [
        "NAME",
        "read - read from a file descriptor",
        "",
        "SYNOPSIS",
        "ssize_t read(int fd, void buf[.count]);",
        "",
        "RETURN VALUE",
        "If count is zero,",
        "read()",
        "may 'wait' for a \\n. ",
        "",
        "Then",
        "nothing",
    ]


def test_indents_are_no_text_and_both_ways_to_write_a_character_are_read():
    page = """.TP 8
.B \\-\\-all
every \\[aq]one\\[aq] \\[em] or \\(aqtwo\\(aq
.IP \\[bu] 3
point
"""
    assert plain_roff(page).splitlines() == ["--all", "every 'one' -- or 'two'", "*", "point"]


def test_a_perl_document_is_its_text_without_commands_and_codes():
    pod = """=encoding utf8

=head1 Operators
X<operator> X<perl, operator>

For example S<C<$x + $y>>, or C<< $x < $y >>, B<not I<that>> E<lt>this and E<gt>.

=over 4

=item C<a>

L<perlref/Arrow> F<file>

=back

    my %h = <STDIN>;

=cut
"""
    assert plain_pod(pod).strip().splitlines() == [
        "Operators",
        "",
        "For example $x + $y, or $x < $y, not that <this and >.",
        "",
        "a",
        "",
        "perlref/Arrow file",
        "",
        "    my %h = <STDIN>;",
    ]
