"""What is published where, in what size, with what checksum, and on what terms.

No address below has been tried by this project's tests, which reach no host but their own: `seen` says where each
address, size and checksum was read (November 2026) and what of it was held against real bytes. A wrong line costs a
failed fetch, which names the host and the reason; it cannot cost wrong data, because

* a published checksum is compared,
* where a whole folder of a git repository is published, its tree id, by which git names content, is recomputed,
* and where nothing is published, the fetch says so and records the SHA-256 that it got (trust on first use).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Copy:
    """One address of a file. Copies of a file may differ in bytes (line endings), never in what they say.

    Attributes:
        url: where it is.
        seen: where the address, the size and the checksum were read.
        size_bytes: the published size, exact; None where none is published.
        digest: "md5:…" or "sha256:…", hexadecimal; None where none is published.
    """

    url: str
    seen: str
    size_bytes: int | None = None
    digest: str | None = None

    @property
    def host(self) -> str:
        """The host that people know, such as "data.mendeley.com"."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class Tree:
    """A folder of an archive, found by its content wherever it lies: publishers move folders about.

    Attributes:
        git_id: git's id of a tree that holds these files and nothing else (see jaxresp.fetch.gittree).
        n_files: how many.
        folder: where they go, relative to the fetched folder.
    """

    git_id: str
    n_files: int
    folder: str


@dataclass(frozen=True)
class Archive:
    """How much an archive may hold, which bounds what a forged one could do to the disk.

    Attributes:
        most_files: files at most.
        most_bytes: unpacked size at most.
        trees: the folders to take, verified by content; all of the archive as it is where empty.
    """

    most_files: int
    most_bytes: int
    trees: tuple[Tree, ...] = ()


@dataclass(frozen=True)
class File:
    """A file of a corpus.

    Attributes:
        name: in the fetched folder, or of the archive.
        copies: the publisher's first, then mirrors.
        most_bytes: no body longer than this is accepted where a copy has no published size.
        archive: set if it is to be unpacked (and is itself not kept).
        optional: a corpus without it is whole.
    """

    name: str
    copies: tuple[Copy, ...]
    most_bytes: int
    archive: Archive | None = None
    optional: bool = False


@dataclass(frozen=True)
class Source:
    """A corpus.

    Attributes:
        name: on the command line, and of the folder.
        title: what it is, in a line.
        page: where its publisher describes it.
        terms: on what terms it may be used, and who is to be cited.
        files: what makes it up.
    """

    name: str
    title: str
    page: str
    terms: str
    files: tuple[File, ...]

    @property
    def download_bytes(self) -> int:
        """What is transferred, as far as sizes are published; bounds stand in for the others."""
        return sum(file.copies[0].size_bytes or file.most_bytes for file in self.files)

    @property
    def unpacked_bytes(self) -> int:
        """The most that its archives may unpack to."""
        return sum(file.archive.most_bytes for file in self.files if file.archive)


_ICBHI_HOST = "https://bhichallenge.med.auth.gr/sites/default/files/ICBHI_final_database"
_ICBHI_SEEN = (
    "address in the code of several papers, size in a public audit script; the host's certificate had expired, and "
    "some saw it answer 403"
)
_PATCH_MIX = (
    "https://raw.githubusercontent.com/raymin0223/patch-mix_contrastive_learning/"
    "836b09fea1b70eb29fe0b25afa481286b56f5104/data/icbhi_dataset"
)
_PATCH_MIX_SEEN = (
    "code of Patch-Mix (Bae et al., Interspeech 2023), pinned; size and SHA-256 computed from its repository"
)
_SONI = (
    "https://raw.githubusercontent.com/stanfordmlgroup/selfsupervised-lungandheartsounds/"
    "c704fc3e8232d113816c0037f05384b40bd3d42c/data"
)
_SONI_SEEN = "code of Soni et al. (Stanford ML Group, 2021), pinned; size and SHA-256 computed from its repository"

ICBHI = Source(
    name="icbhi",
    title="ICBHI 2017 Respiratory Sound Database: 920 recordings of 126 patients, 5.5 h",
    page="https://bhichallenge.med.auth.gr/ICBHI_2017_Challenge",
    terms=(
        '"Freely available for research"; do not redistribute recordings. Cite Rocha et al., An open access database '
        "for the evaluation of respiratory sound classification algorithms, Physiological Measurement 40 (2019) 035001."
    ),
    files=(
        File(
            "ICBHI_final_database.zip",
            (
                Copy(
                    f"{_ICBHI_HOST}/ICBHI_final_database.zip",
                    f"{_ICBHI_SEEN}; MD5 in a public download script",
                    1_978_998_275,
                    "md5:f6a5d0ea40bbcd25e17754f9d5ddae48",
                ),
                Copy(
                    "https://dataverse.harvard.edu/api/access/datafile/7127117",
                    "Harvard Dataverse doi:10.7910/DVN/HT6PKI; named with the same MD5 in a public download script, "
                    "and seen to resume (HTTP 206)",
                    1_978_998_275,
                    "md5:f6a5d0ea40bbcd25e17754f9d5ddae48",
                ),
            ),
            most_bytes=1_978_998_275,
            # 5.5 h at 44.1 kHz and 24 bit would be 2.62 GB; most is less. 920 sounds, 920 annotations.
            archive=Archive(most_files=4_000, most_bytes=2_800_000_000),
        ),
        # The mirrors' texts were compared with copies of the published ones: the same lines, without the last line
        # end. In the split, one row (226_1b1_Pl_sc) names the stethoscope as its sound file does; the publisher's
        # names another.
        File(
            "ICBHI_Challenge_diagnosis.txt",
            (
                Copy(f"{_ICBHI_HOST}/ICBHI_Challenge_diagnosis.txt", _ICBHI_SEEN, 1_368),
                Copy(
                    f"{_PATCH_MIX}/patient_diagnosis.txt",
                    _PATCH_MIX_SEEN,
                    1_367,
                    "sha256:8ac8ddc26d28e12465008d80e6bea9925350cd2e09dcd7e110219e1f4cfad8f1",
                ),
            ),
            most_bytes=10_000,
        ),
        File(
            "ICBHI_Challenge_demographic_information.txt",
            (
                Copy(f"{_ICBHI_HOST}/ICBHI_Challenge_demographic_information.txt", _ICBHI_SEEN, 2_586),
                Copy(
                    f"{_SONI}/demographic_info.txt",
                    _SONI_SEEN,
                    2_460,
                    "sha256:13abb0136166b46b52646cb85bbb230379f8fb9ef8639eca5d8cb4e3c7d30c37",
                ),
            ),
            most_bytes=10_000,
        ),
        File(
            "ICBHI_challenge_train_test.txt",
            (
                Copy(f"{_ICBHI_HOST}/ICBHI_challenge_train_test.txt", _ICBHI_SEEN, 27_219),
                Copy(
                    f"{_PATCH_MIX}/official_split.txt",
                    _PATCH_MIX_SEEN,
                    26_298,
                    "sha256:c107748c9a76277107a7b070176fe4cfc602f2fb00fa0d5d6760d1741584002b",
                ),
            ),
            most_bytes=100_000,
        ),
        # The other stethoscope of 91 recordings, in the form that Kaggle's copy of the corpus has. The publisher's page
        # links a file of this name too, whose form was not seen, so that one is not fetched.
        File(
            "filename_differences.txt",
            tuple(
                Copy(
                    f"{folder}/filename_differences.txt",
                    seen,
                    2_275,
                    "sha256:03858b6215b772ee4ab4de6902e11afe02d18230d74921c7ad0453b50121198e",
                )
                for folder, seen in ((_PATCH_MIX, _PATCH_MIX_SEEN), (_SONI, _SONI_SEEN))
            ),
            most_bytes=10_000,
            optional=True,
        ),
    ),
)

SPRSOUND = Source(
    name="sprsound",
    title="SPRSound 2022: 2,683 recordings of 292 children, 8.2 h",
    page="https://github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound",
    terms=(
        "Open data: the publisher's repository names CC BY 4.0 (a copy of 2023 carries the text of GPL-3.0). Cite "
        "Zhang et al., SPRSound: Open-Source SJTU Paediatric Respiratory Sound Database, IEEE TBioCAS 16 (2022) "
        "867-881."
    ),
    files=(
        # GitHub makes these archives anew on request: the content of a commit is fixed, the archive's bytes, size and
        # checksum are not (its documentation, "Downloading source code archives"), and it neither tells the length nor
        # resumes. So the content is what is verified.
        File(
            "SPRSound.zip",
            (
                Copy(
                    "https://codeload.github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound/zip/"
                    "45b0d5d435ff320c46585762fa1090afd0ebb318",
                    "the publisher's repository, at the commit that two evaluation suites (EVAR, M2D) name; not seen "
                    "to have these very trees",
                ),
                Copy(
                    "https://codeload.github.com/HUJH511/BioCAS-2023-Grand_Challenge/zip/"
                    "6d8851c7586d2331e7ad04d97ed030a580503e0c",
                    "a challenge entry's repository that carries the whole release; the tree ids below were read from "
                    "it, and some of its annotations compared with the publisher's",
                ),
            ),
            most_bytes=1_500_000_000,
            archive=Archive(
                most_files=8_000,
                most_bytes=600_000_000,  # the five folders hold 5,366 files and 470,892,976 bytes
                trees=(
                    Tree("2c2232405405731734a39ccde7c44e44373821e5", 1_949, "train_wav"),
                    Tree("715b4b32f86733565047d470f14dd441b49acdcf", 1_949, "train_json"),
                    Tree("0791ca16220733747380261c2aed0c5c05551176", 734, "test_wav"),
                    Tree("09f58f7a871cfce172a81aa7d0dcd1fd9884087c", 355, "test_json/inter_test_json"),
                    Tree("1b41a99a3aa33b6b1c93e6e93c1536bc78bef6fb", 379, "test_json/intra_test_json"),
                ),
            ),
        ),
    ),
)

_MENDELEY = "https://data.mendeley.com/public-files/datasets/jwyy9np4gv/files"

KAUH = Source(
    name="kauh",
    title="KAUH (Fraiwan): 336 recordings of 112 adults, each in three filterings, 1.6 h",
    page="https://data.mendeley.com/datasets/jwyy9np4gv/3",
    terms=(
        "CC BY 4.0. Cite Fraiwan et al., A dataset of lung sounds recorded from the chest wall using an electronic "
        "stethoscope, Data in Brief 35 (2021) 106913; doi:10.17632/jwyy9np4gv.3."
    ),
    files=(
        File(
            "Audio Files.zip",
            (
                Copy(
                    f"{_MENDELEY}/99d7bd63-eb5d-4000-9c2a-a8dd31168cbc/file_downloaded",
                    "address in three public download scripts, SHA-256 in one that took it from the answer of "
                    "Mendeley's file list; version 3",
                    digest="sha256:8093b608584c631b016086e1f2df38f89db5eae0234a42fe9ab5cdaac7121d7c",
                ),
            ),
            most_bytes=200_000_000,
            archive=Archive(most_files=2_000, most_bytes=200_000_000),  # 1.62 h at 4 kHz and 16 bit are 47 MB
        ),
        File(
            "Data annotation.xlsx",
            (
                Copy(
                    f"{_MENDELEY}/bd290409-a700-4c03-ac0f-528c81d8e5c4/file_downloaded",
                    "address in a public download script",
                ),
            ),
            most_bytes=5_000_000,
            optional=True,  # what it says, the names of the recordings say
        ),
    ),
)

SOURCES = {source.name: source for source in (ICBHI, SPRSOUND, KAUH)}
