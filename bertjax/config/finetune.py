"""Every option of a fine-tuning run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bertjax.config.checks import one_of, require, within
from bertjax.config.few_weights import AdapterConfig, LoraConfig
from bertjax.config.model import ModelConfig
from bertjax.config.optim import OptimConfig
from bertjax.config.transfer import TransferConfig
from bertjax.config.tune import TuneConfig
from bertjax.errors import nearest

TASK_FAMILIES = (
    "classification",
    "multi_label",
    "regression",
    "tagging",
    "span_qa",
    "multiple_choice",
)
SENTENCE_FAMILIES = ("classification", "multi_label", "regression", "multiple_choice")
UNLABELLED_FAMILIES = ("classification", "tagging")  # that learn from rows without labels
CLASSES = ("classification", "multi_label", "multiple_choice", "tagging")  # of which each has odds
TAG_SCHEMES = ("none", "IO", "IOB1", "IOB2", "IOBES")
IOBES_SPELLINGS = {"IOBES": "BIES", "BILOU": "BILU", "BMES": "BMES", "BMEWO": "BMEW"}
QA_SCORINGS = ("squad", "cmrc")


@dataclass(frozen=True)
class TaskConfig:
    """What is predicted, and how it is scored."""

    family: str = "classification"  # or multi_label, regression, tagging, span_qa, multiple_choice
    name: str = "task"  # in results, file names and model cards
    labels: tuple[str, ...] = ()  # in order of their ids; empty: those of the training file, sorted
    metric: str = ""  # chooses the best epoch; empty: the family's first
    positive: str = ""  # classification of two labels: the one that f1 is of; empty: the second
    balanced: bool = False  # classes weigh inversely to their frequency in the training file
    class_weights: tuple[float, ...] = ()  # or one weight a label
    scheme: str = "none"  # tagging, of the files: none (plain tags) IO IOB1 IOB2 IOBES BILOU BMES
    train_scheme: str = ""  # tagging: the scheme that is learnt; empty: that of the files
    no_answer: bool = False  # span_qa: questions may have none (SQuAD 2.0)
    max_query: int = 64  # span_qa: tokens of the question
    max_answer: int = 30  # span_qa: tokens of an answer
    n_best: int = 20  # span_qa: candidates a question
    scoring: str = "squad"  # span_qa: squad | cmrc, which counts characters

    def __post_init__(self) -> None:
        one_of("task.family", self.family, TASK_FAMILIES)
        one_of("task.scheme", self.scheme, (*TAG_SCHEMES[:-1], *IOBES_SPELLINGS))
        one_of("task.train_scheme", self.train_scheme, ("", *TAG_SCHEMES))
        one_of("task.scoring", self.scoring, QA_SCORINGS)
        within("task.max_query", self.max_query, 1, 4096)
        within("task.max_answer", self.max_answer, 1, 4096)
        within("task.n_best", self.n_best, 1, 1000)
        require(
            len(set(self.labels)) == len(self.labels),
            f"task.labels={list(self.labels)} names a label twice: give each once",
        )
        require(
            not self.positive or (self.family == "classification" and len(self.labels) in (0, 2)),
            f"task.positive={self.positive!r} with task.family={self.family} and "
            f"{len(self.labels)} task.labels: only one of two classes has an F1 of its own; leave "
            "it out",
        )
        require(
            not (self.positive and self.labels) or self.positive in self.labels,
            f"task.positive={self.positive!r} is not one of task.labels: "
            f"{nearest(self.positive, self.labels)}",
        )
        require(
            not (self.balanced and self.class_weights),
            "task.balanced=true with task.class_weights: give one of them",
        )
        require(
            not self.class_weights or len(self.class_weights) == len(self.labels),
            f"task.class_weights has {len(self.class_weights)} entries for "
            f"{len(self.labels)} task.labels: give one a label, in their order",
        )
        require(
            not self.train_scheme or (self.scheme != "none") == (self.train_scheme != "none"),
            f"task.train_scheme={self.train_scheme} with task.scheme={self.scheme}: plain tags "
            "cannot be converted; name the scheme of the files",
        )

    @property
    def standard_scheme(self) -> str:
        """The scheme of the files by its own name, however its letters are spelt."""
        return "IOBES" if self.scheme in IOBES_SPELLINGS else self.scheme

    @property
    def learnt_scheme(self) -> str:
        """The scheme of the tags that are learnt, in its standard spelling."""
        return self.train_scheme or self.standard_scheme


LAYOUTS = (
    "", "tsv", "csv", "jsonl", "json", "parquet", "arrow", "conll", "conllu", "cluener", "squad",
)  # fmt: skip
QUOTES = ("auto", "literal", "doubled", "backslash")
READING = (
    *("layout", "header", "separator", "quotes", "text", "text_pair", "choices", "label"),
    *("label_separator", "skip_bad_rows"),
)  # of `data`: how a file becomes examples, in which files may differ; the rest is of a run
TRUNCATIONS = ("head", "tail", "middle")


@dataclass(frozen=True)
class ExamplesConfig:
    """Labelled files and how their rows become rows of tokens.

    A column is named by its header or field; in files without a header, and in CoNLL files, by
    its number from 1, or from -1 counting from the last.
    """

    train: str = ""  # a file, a directory, a pattern of names, or tfds:NAME:SPLIT
    dev: str = ""  # empty: a share of train is held out
    test: str = ""  # empty: none
    unlabelled: str = ""  # rows without labels, read as those of predict, for transfer.method
    dev_share: float = 0.1  # of train, by hash of the example, when there is no dev
    layout: str = ""  # tsv csv jsonl json parquet arrow conll conllu cluener squad; empty: detected
    header: bool = True  # tsv and csv: the first line names the columns
    separator: str = ""  # tsv and csv: between fields; empty: by the columns that are found
    quotes: str = "auto"  # tsv and csv: literal text | how a field has one: doubled, backslash
    text: str = "text"  # column of the text; of words in tagging
    text_pair: str = ""  # second text of a pair; empty: single texts
    both_orders: bool = False  # of pairs without an order: learnt in both, predictions averaged
    choices: tuple[str, ...] = ()  # multiple_choice: columns of the endings
    label: str = "label"  # multi_label: also several columns with 0 or 1, such as toxic,insult
    label_separator: str = ","  # multi_label: between labels of one row
    skip_bad_rows: bool = False  # leave out and count what is otherwise refused
    max_rows: int = 0  # of train, the first so many; 0: all
    max_length: int = 128  # T at most, special tokens included
    truncation: str = "head"  # which end of a long text is kept: head | tail | middle cut out
    window_step: int = 0  # tokens from the start of one window to the next; 0: truncate instead

    def __post_init__(self) -> None:
        one_of("data.layout", self.layout, LAYOUTS)
        one_of("data.quotes", self.quotes, QUOTES)
        one_of("data.truncation", self.truncation, TRUNCATIONS)
        require(
            self.text not in (self.label, self.text_pair),
            f"data.text={self.text} names the column of data."
            f"{'label' if self.text == self.label else 'text_pair'} too: name one column for each",
        )
        within("data.dev_share", self.dev_share, 0.0, 0.9)
        within("data.max_rows", self.max_rows, 0, 10**9)
        within("data.max_length", self.max_length, 8, 2**16)
        within("data.window_step", self.window_step, 0, self.max_length)


POOLINGS = ("cls", "mean", "last", "pooled_mean", "late")
POOLED = ("pooled_mean", "late")  # these need a pooler
FUSIONS = ("none", "concat", "mean", "scalar_mix")
SEQUENCE_LAYERS = ("none", "bilstm", "cnn")


@dataclass(frozen=True)
class HeadConfig:
    """What stands between the encoder and the answer; all parts combine.

    Pooling is the pooler over [CLS] (BERT), the mean of a row's tokens, its last one, the pooler
    over the mean, or late: the mean of what the pooler makes of each token (EuroBERT).
    """

    pooling: str = "cls"  # of sentences: pooler over [CLS] | mean | last | pooled_mean | late
    fusion: str = "none"  # of the last `fusion_layers`: concat, mean or scalar_mix (ELMo)
    fusion_layers: int = 4  # how many of the top layers are fused
    sequence: str = "none"  # a bilstm or a cnn over the tokens
    sequence_size: int = 252  # its width: both directions, or all three filter widths, together
    crf: bool = False  # tagging: a linear-chain CRF over the words (Lafferty et al. 2001)
    dropout: float = 0.1  # before the last layer; run_squad.py has none
    bias: bool = True  # of the last layer; GPT-1's class has none

    def __post_init__(self) -> None:
        one_of("head.pooling", self.pooling, POOLINGS)
        one_of("head.fusion", self.fusion, FUSIONS)
        one_of("head.sequence", self.sequence, SEQUENCE_LAYERS)
        within("head.fusion_layers", self.fusion_layers, 1, 1024)
        within("head.sequence_size", self.sequence_size, 6, 2**14)
        within("head.dropout", self.dropout, 0.0, 0.99)
        require(
            self.sequence_size % 6 == 0 or self.sequence != "cnn",
            f"head.sequence_size={self.sequence_size} does not divide over three filter widths: "
            "use a multiple of 6",
        )
        require(
            self.pooling not in POOLED or (self.fusion != "concat" and self.sequence == "none"),
            f"head.pooling={self.pooling} with head.fusion={self.fusion} and "
            f"head.sequence={self.sequence}: the pooler takes one state of the encoder's width; "
            "use head.pooling=mean",
        )


@dataclass(frozen=True)
class FinetuneConfig:
    """A whole fine-tuning run."""

    model: ModelConfig = field(default_factory=ModelConfig)  # that of --init, but for dropout
    task: TaskConfig = field(default_factory=TaskConfig)
    data: ExamplesConfig = field(default_factory=ExamplesConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(
            learning_rate=3e-5, bias_correction=True, warmup_fraction=0.1
        )
    )
    tune: TuneConfig = field(default_factory=TuneConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)  # with tune.method=lora
    adapter: AdapterConfig = field(default_factory=AdapterConfig)  # with houlsby and pfeiffer
    transfer: TransferConfig = field(default_factory=TransferConfig)  # of data.unlabelled

    def __post_init__(self) -> None:
        require(
            not self.optim.average,
            f"optim.average={self.optim.average:g}: fine-tuning keeps the weights of its best "
            "epoch and averages none; leave it at 0",
        )
        family = self.task.family
        sections = {
            "lora": self.tune.method != "lora" and self.lora != LoraConfig(),
            "adapter": self.tune.method not in ("houlsby", "pfeiffer")
            and self.adapter != AdapterConfig(),
        }
        for name, idle in sections.items():
            require(
                not idle,
                f"{name}.* is set with tune.method={self.tune.method}, which does not look at it: "
                f"use tune.method={'lora' if name == 'lora' else 'houlsby or pfeiffer'}, or leave "
                "it out",
            )
        require(
            not self.head.crf or family == "tagging",
            f"head.crf=true with task.family={family}: a CRF joins the tags of a sentence; "
            "use task.family=tagging",
        )
        require(
            (family == "multiple_choice") == bool(self.data.choices),
            f"task.family={family} with data.choices={list(self.data.choices)}: multiple_choice, "
            "and only that, names the columns of its endings there",
        )
        require(
            self.model.attention == "full"
            or self.head.pooling != "cls"
            or family not in SENTENCE_FAMILIES,
            f"head.pooling=cls with task.family={family}: the model's attention is causal, so its "
            "first token sees no other; use head.pooling=last or mean",
        )
        require(
            self.head.pooling not in POOLED or self.model.pooler not in ("none", "transform"),
            f"head.pooling={self.head.pooling} with model.pooler={self.model.pooler}: there is no "
            "pooler; use head.pooling=cls or mean",
        )
        require(
            family == "tagging" or self.task.scheme == "none",
            f"task.scheme={self.task.scheme} with task.family={family}: only tagging has schemes",
        )
        require(
            self.head.fusion == "none" or self.head.fusion_layers <= self.model.num_layers,
            f"head.fusion_layers={self.head.fusion_layers} but the encoder has "
            f"{self.model.num_layers} layers: use at most that many",
        )
        for name in ("layers", "reinit_layers"):
            require(
                getattr(self.tune, name) <= self.model.num_layers,
                f"tune.{name}={getattr(self.tune, name)} but the encoder has "
                f"{self.model.num_layers} layers: use at most that many",
            )
        require(
            self.data.max_length <= self.model.max_positions,
            f"data.max_length={self.data.max_length} but the encoder has "
            f"{self.model.max_positions} positions: shorten the rows or use windows",
        )
        self._check_craft()
        self._check_transfer()

    @property
    def computed(self) -> FinetuneConfig:
        """The run as far as its programs depend on it: runs that share it share what is compiled.

        They do not depend on files, labels and scores, nor on what only the loop goes by; what they
        must know of the labels is in the shape of the task.
        """
        data = ExamplesConfig(
            unlabelled="rows" if self.data.unlabelled else "",
            choices=self.data.choices,
            max_length=self.data.max_length,
        )
        task = TaskConfig(family=self.task.family)
        return replace(self, task=task, data=data, tune=self.tune.computed)

    def _check_craft(self) -> None:
        family = self.task.family
        require(
            not self.tune.rdrop or (family in CLASSES and not self.head.crf),
            f"tune.rdrop={self.tune.rdrop:g} with task.family={family} and head.crf="
            f"{str(self.head.crf).lower()}: there are no distributions over classes to compare; "
            "leave it out",
        )
        require(
            not self.tune.rdrop
            or max(self.model.hidden_dropout, self.model.attention_dropout, self.head.dropout) > 0,
            f"tune.rdrop={self.tune.rdrop:g} without any dropout: two draws would be one; set "
            "model.hidden_dropout, or leave it out",
        )
        require(
            not self.data.both_orders
            or (bool(self.data.text_pair) and family in SENTENCE_FAMILIES[:3]),
            f"data.both_orders=true with task.family={family} and data.text_pair="
            f"{self.data.text_pair!r}: only pairs of texts have another order; name the second "
            "text, or leave it out",
        )

    def _check_transfer(self) -> None:
        family, transfer = self.task.family, self.transfer
        method = f"transfer.method={transfer.method}"
        require(
            (transfer.method == "none") == (not self.data.unlabelled),
            f"data.unlabelled={self.data.unlabelled} with {method}: give both or neither; a method "
            "says what a file of rows without labels is used for",
        )
        require(
            transfer.method == "none" or family in UNLABELLED_FAMILIES,
            f"{method} with task.family={family}: only {' and '.join(UNLABELLED_FAMILIES)} learn "
            "from rows without labels; leave it out",
        )
        require(
            not transfer.aligned or self.tune.layers != 0,
            f"{method} with tune.layers=0: the encoder's states do not move, so that they cannot "
            "be drawn together; train layers, or use transfer.method=self_training",
        )
        require(
            transfer.layer <= self.model.num_layers,
            f"transfer.layer={transfer.layer} but the encoder has {self.model.num_layers} layers: "
            "use at most that many",
        )
        require(
            family == "classification" or transfer.shift == "none",
            f"transfer.shift={transfer.shift} with task.family={family}: a row has tags of many "
            "classes; leave it out",
        )
        require(
            transfer.shift == "none" or not (self.task.balanced or self.task.class_weights),
            f"transfer.shift={transfer.shift} with task.balanced or task.class_weights: both weigh "
            "classes; give one of them",
        )
