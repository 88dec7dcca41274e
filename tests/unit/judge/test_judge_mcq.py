"""Multiple choice: letters, option texts and hedges."""

import pytest

from reassess.judge import judge

LENGTHS = ["12 cm", "10 cm", "14 cm", "16 cm"]
PETS = ["dog", "cat"]
DIGITS = ["1", "2", "3", "4"]
VITAMINS = ["Vitamin D", "Vitamin C"]

CASES = [
    # response, gold, options, correct, why
    ("B", "B", None, True, "a letter"),
    ("(B)", "B", None, True, "in parentheses"),
    ("[B]", "B", None, True, "in square brackets"),
    ("B.", "B", None, True, "with a full stop"),
    ("B)", "B", None, True, "with one parenthesis"),
    ("b", "B", None, True, "a small letter"),
    ("(b)", "B", None, True, "a small letter in parentheses"),
    ("**B**", "B", None, True, "emphasised"),
    ("**(B)** 12 cm", "B", None, True, "emphasised, with the text"),
    ("$B$", "B", None, True, "in dollars"),
    ("\\text{B}", "B", None, True, "in \\text"),
    ("\\boxed{\\text{B}}", "B", None, True, "in a box and \\text"),
    ("\\boxed{\\text{(B) } 12}", "B", None, True, "in a box with its text"),
    ("$\\mathbf{B}$", "B", None, True, "bold"),
    ("Ｂ", "B", None, True, "a full-width letter"),
    ("B) 12", "B", None, True, "with its text"),
    ("B. 12", "B", None, True, "with a full stop and its text"),
    ("B: 12", "B", None, True, "with a colon and its text"),
    ("b) 12", "B", None, True, "a small letter with its text"),
    ("Option B", "B", None, True, "the word option"),
    ("option b", "B", None, True, "the word option and a small letter"),
    ("Choice (B)", "B", None, True, "the word choice"),
    ("The answer is B", "B", None, True, "a phrase"),
    ("The correct option is (B).", "B", None, True, "the correct option"),
    ("Answer: B. 10 cm", "B", LENGTHS, True, "a marker, a letter and its text"),
    ("B is correct", "B", None, True, "a letter that begins a sentence"),
    ("The figure shows that (C) holds", "C", None, True, "a letter in parentheses in a sentence"),
    ("C", "B", None, False, "another letter"),
    ("(C)", "B", None, False, "another letter in parentheses"),
    ("The answer is C", "B", None, False, "a phrase with another letter"),
    ("A or B", "B", None, False, "a hedge"),
    ("B or C", "B", None, False, "a hedge that begins right"),
    ("(B) or (C)", "C", None, False, "a hedge in parentheses"),
    ("B, C", "B", None, False, "a list"),
    ("BC", "B", None, False, "letters run together"),
    ("B) 12 or C) 14", "B", None, False, "a hedge with texts"),
    ("Both B and C", "B", None, False, "both"),
    ("It is either A or B", "A", None, False, "either"),
    ("A, B, C, D", "D", None, False, "every letter"),
    ("A", "A", None, True, "A alone is the option"),
    ("a", "A", None, True, "a alone is the option"),
    ("A dog is there", "A", None, False, "A as the article"),
    ("I think so", "I", None, False, "I as the pronoun"),
    ("I", "I", None, True, "I alone is the option"),
    ("I think it is (B)", "B", None, True, "the pronoun beside a letter"),
    ("f(A) is small", "A", None, False, "the argument of a function"),
    ("the big cat", "C", None, False, "a letter inside a word"),
    ("12", "B", None, False, "a text whose options are unknown"),
    ("B, D", "B, D", None, True, "two letters"),
    ("D and B", "B, D", None, True, "two letters in another order"),
    ("BD", "B, D", None, True, "two letters run together"),
    ("(B) and (D)", "B, D", None, True, "two letters in parentheses"),
    ("A, C", "A\nC", None, True, "two letters on two lines in the gold"),
    ("B", "B, D", None, False, "one of two letters"),
    ("A, B, D", "B, D", None, False, "one letter too many"),
    ("B", "(B)", None, True, "a gold in parentheses"),
    ("B", "B. 12", None, True, "a gold with its text"),
    ("B", "\\boxed{B}", None, True, "a gold in a box"),
    ("False", "False", None, True, "a gold that is no letter"),
    ("True", "False", None, False, "another word"),
    ("3", "3", None, True, "a gold that is a number"),
    ("12 cm", "A", LENGTHS, True, "an option's text"),
    ("12", "A", LENGTHS, True, "an option's text without its unit"),
    ("$12$ cm", "A", LENGTHS, True, "an option's text in LaTeX"),
    ("12 m", "A", LENGTHS, False, "an option's number with another unit"),
    ("10 cm", "A", LENGTHS, False, "another option's text"),
    ("11 cm", "A", LENGTHS, False, "a text that is no option"),
    ("(A) 14 cm", "A", LENGTHS, True, "the letter wins over a conflicting text"),
    ("(A) 14 cm", "C", LENGTHS, False, "the conflicting text loses"),
    ("B 10 cm", "B", LENGTHS, True, "a letter and its text without a mark"),
    ("A", "12 cm", LENGTHS, True, "a gold that is an option's text"),
    ("B", "12 cm", LENGTHS, False, "another letter than that of the text"),
    ("12 cm", "12 cm", LENGTHS, True, "text for text"),
    ("E", "A", LENGTHS, False, "a letter beyond the options"),
    ("C", "2", LENGTHS, True, "a gold that is an index"),
    ("A", "0", LENGTHS, True, "an index counts from zero"),
    ("B", "2", DIGITS, True, "a digit that is an option's text is no index"),
    ("C", "2", DIGITS, False, "nor is it the letter at that index"),
    ("2", "B", DIGITS, True, "a digit as an option's text"),
    ("A cat", "B", PETS, True, "the article before an option's text"),
    ("a cat", "cat", PETS, True, "a small article"),
    ("A dog", "A", PETS, True, "the article and the option agree"),
    ("The cat.", "B", PETS, True, "the definite article"),
    ("cat or dog", "B", PETS, False, "two option texts"),
    ("Vitamin C", "B", VITAMINS, True, "a letter inside an option's text"),
    ("B. Vitamin C", "B", VITAMINS, True, "a letter and a text with another letter"),
    ("C", "D", ["1", "2", "5", "5"], True, "a repeated option has two letters"),
    ("5", "D", ["1", "2", "5", "5"], False, "the text of a repeated option"),
    ("A", "D", ["1", "2", "5", "5"], False, "an option that is not repeated"),
    ("Yes", "A", ["Yes", "No"], True, "yes as an option"),
    ("<think>A</think><answer>B</answer>", "B", None, True, "the reasoning does not count"),
]


@pytest.mark.parametrize(("response", "gold", "options", "correct", "why"), CASES, ids=[case[4] for case in CASES])
def test_mcq(response: str, gold: str, options: list[str] | None, correct: bool, why: str) -> None:
    assert judge(response, gold, "mcq", options).correct is correct, why


def test_the_answer_is_the_letter_that_was_read() -> None:
    assert judge("I choose 10 cm, so (B).", "B", "mcq", LENGTHS).answer == "B"
    assert judge("10 cm", "B", "mcq", LENGTHS).answer == "B"
    assert judge("D or B", "B", "mcq", LENGTHS) == (False, "B, D", "several options")


def test_an_empty_list_of_options_is_no_list() -> None:
    assert judge("B", "B", "mcq", []).correct is True


COLOURS = ["red", "green", "blue", "white"]
SHAPES = ["circle", "square", "triangle", "hexagon"]
YES_NO = ["Yes", "No"]
NUMBERS = ["12", "15", "18", "21"]
PREFIXED = ["A. 15", "B. 18", "C. 21"]
POINTS = ["Point C", "Point A", "Point D", "Point B"]
PLANS = ["Plan B", "Plan C", "Plan A"]
ELEMENTS = ["H", "O", "N", "C"]
INTERVALS = ["(2, 5)", "[2, 5)", "(2, 5]", "[2, 5]"]
DURATIONS = ["1 hour", "1.5 hours", "2 hours", "3 hours"]

SENTENCES = [
    # response, the letters that it chooses (none where it chooses none), options
    # Rejected letters
    ("It is not B.", "", None),
    ("Not B, not C, so it's A.", "A", None),
    ("The answer is not B but D.", "D", None),
    ("It's D, not B.", "D", None),
    ("B rather than D", "B", None),
    ("I choose B over C.", "B", None),
    ("A and B are wrong, so C.", "C", None),
    ("A and D are too small, B has the wrong sign, so it must be C.", "C", None),
    ("It cannot be A, since the slope is negative. D misses the origin. That leaves B.", "B", None),
    ("Eliminate A and C. Eliminate D. So B.", "B", None),
    ("Rule out A, B, D → C", "C", None),
    ("C is correct; A is not.", "C", None),
    ("Option C is wrong.", "", None),
    ("Option B is tempting but wrong.", "", None),
    ("(B) fails for x = 0.", "", None),
    ("Anything but C", "", None),
    ("everything but (B)", "", None),
    ("Option (D) is the only one that satisfies all conditions.", "D", None),
    ("Option (D) is the only one that fails.", "", None),
    ("Neither A nor B", "", None),
    ("I'm not choosing B.", "", None),
    # Reasons
    ("The answer is (B) because A is too small and C is too large.", "B", None),
    ("A is correct, because the two base angles are equal.", "A", None),
    ("Since A is too big, B is correct.", "B", None),
    ("D since B equals C", "D", None),
    ("The answer is (C), as A is the midpoint.", "C", None),
    ("Answer: B. (Many students pick D because they forget the sign.)", "B", None),
    ("<answer>C\nExplanation: A and B are too small.</answer>", "C", None),
    # Changes of mind
    ("My first reading gave 3/8, so I wrote C. Actually no, it's D.", "D", None),
    ("I first thought A, but it is C.", "C", None),
    ("B. Wait, no: D.", "D", None),
    ("C... no, B.", "B", None),
    ("Is it A? No, it's B.", "B", None),
    ("A is true and B is true, so C.", "C", None),
    # Where a letter counts
    ("That leaves only (C).", "C", None),
    ("Hence C.", "C", None),
    ("I'd go with D.", "D", None),
    ("Only D works.", "D", None),
    ("I think A is correct.", "A", None),
    ("C has the greatest slope.", "C", None),
    ("It's b.", "B", None),
    ("故选C", "C", None),
    ("Angle B is larger.", "", None),
    ("vitamin C", "", None),
    ("Figure C", "", None),
    ("Compare option B with option C.", "", None),
    ("so B = 30", "", None),
    ("The current is 6 A.", "", None),
    ("25 °C", "", None),
    ("A match.", "", None),
    ("Grade: A", "", None),
    ("A tall man has the greatest shadow.", "", None),
    ("The answer is \u0412.", "", None),
    # Several letters
    ("A and C are correct.", "AC", None),
    ("Only A and C", "AC", None),
    ("{A, C}", "AC", None),
    ("a, c", "AC", None),
    ("The correct options are A, B and D.", "ABD", None),
    ("C, although A is also correct, so A and C.", "AC", None),
    ("(D) C", "D", ELEMENTS),
    ("(A) 3 (B) 4 (C) 5", "ABC", None),
    # What a reader does not see
    ("<!-- B --> D", "D", None),
    ("D % (B)\n", "D", None),
    ("~~B~~ **D**", "D", None),
    ("\\phantom{B} D", "D", None),
    ("\\textcolor{white}{B}", "", None),
    ("B\u0336 D", "D", None),
    # Layout
    ("\\underline{B}", "B", None),
    ("*B*", "B", None),
    ("<b>B</b>", "B", None),
    ("✅ B", "B", None),
    ("**C** Paris", "C", None),
    ("Ans. C", "C", None),
    # Texts of options in a sentence
    ("The ball is not red.", "", COLOURS),
    ("not red but blue", "C", COLOURS),
    ("red, not blue", "A", COLOURS),
    ("I first thought red. Actually no, it's blue.", "C", COLOURS),
    ("It's red because blue is too dark.", "A", COLOURS),
    ("The ball is blue, so B.", "B", COLOURS),
    ("The shape is a hexagon because it has six sides.", "D", SHAPES),
    ("It's a square.", "B", SHAPES),
    ("A dog is lying on the mat.", "B", ["cat", "dog"]),
    ("Everything except red", "", COLOURS),
    ("Is it red?", "", COLOURS),
    ("The red ball is next to the green one.", "", COLOURS),
    ("dark red", "", COLOURS),
    ("It is a square pyramid.", "", SHAPES),
    ("I can't tell if it is red.", "", COLOURS),
    ("No, there is no such line.", "B", YES_NO),
    ("Yes, no.", "", YES_NO),
    ("Yes and no", "", YES_NO),
    ("No doubt.", "", YES_NO),
    ("The statement is false.", "B", ["True", "False"]),
    ("The statement is not true.", "", ["True", "False"]),
    ("The farthest one is Point A.", "B", POINTS),
    ("Plan B is cheapest.", "A", PLANS),
    ("The plan is B.", "", PLANS),
    ("The element is N.", "C", ELEMENTS),
    ("The gas is CO2.", "", ["CO", "N2", "H2O", "CH4"]),
    ("The missing picture is <image 2>.", "B", ["<image 1>", "<image 2>"]),
    ("image 2", "B", ["<image 1>", "<image 2>"]),
    ("Both A and B", "C", ["Heating", "Stirring", "Both A and B", "Neither"]),
    ("A is taller", "B", ["B is taller", "A is taller"]),
    ("BD", "D", ["AB", "BC", "AC", "BD"]),
    ("red", "", ["red", "blue", "red", "green"]),
    # Options with their own letters
    ("15", "A", PREFIXED),
    ("B. 15", "B", PREFIXED),
    ("A. 15", "A", PREFIXED),
    ("18", "B", ["(A) 15", "(B) 18", "(C) 21"]),
    ("$21$", "C", PREFIXED),
    # Options as mathematics
    ("\\sqrt{12}", "A", ["$2\\sqrt{3}$", "$3\\sqrt{2}$", "$6$"]),
    ("3.46", "", ["$2\\sqrt{3}$", "$3\\sqrt{2}$", "$4$"]),
    ("2 \\le x < 5", "B", INTERVALS),
    ("[2,5)", "B", INTERVALS),
    ("2(x+1)", "A", ["2x+2", "2x+1", "x+2"]),
    ("3 < x", "A", ["x > 3", "x ≥ 3", "x < 3"]),
    ("y = 1 + 2x", "A", ["y = 2x + 1", "y = x + 2"]),
    ("x = 15", "B", NUMBERS),
    ("The sum is 15.", "B", NUMBERS),
    ("The sum is not 15.", "", NUMBERS),
    ("The sum is 15 or 18.", "", NUMBERS),
    ("The journey takes 120 minutes.", "C", DURATIONS),
    ("The current is 6 A.", "C", ["2 A", "4 A", "6 A"]),
    ("The point is $\\left(-1,\\,2\\right)$.", "C", ["(1, 2)", "(2, 1)", "(-1, 2)"]),
    ("24", "", ["24 cm", "24 cm²"]),
    # Letters that are no option
    ("The answer is (F).", "", NUMBERS),
    ("A and E", "", NUMBERS),
]


@pytest.mark.parametrize(("response", "letters", "options"), SENTENCES, ids=[case[0] for case in SENTENCES])
def test_what_a_sentence_chooses(response: str, letters: str, options: list[str] | None) -> None:
    for gold in "ABCDEFGHIJ"[: len(options) if options else 10]:
        assert judge(response, gold, "mcq", options).correct is (letters == gold), gold
    if len(letters) > 1:
        assert judge(response, ", ".join(letters), "mcq", options).correct is True


HEDGES = [
    "B or D", "B/D", "B and/or D", "Either B or D", "That leaves B or D.", "maybe B, maybe D", "B? Or rather D?",
    "B, possibly D", "B (or D)", "B (D?)", "B, but it might be D", "B; alternatively D", "B (60%), D (40%)",
    "If x > 0 then B, otherwise D.", "I cannot decide between B and D.", "It depends: B for x > 0, else D.",
    "Eliminating A and C leaves B and D, I would go with either.",
]  # fmt: skip


@pytest.mark.parametrize("response", HEDGES)
def test_a_hedge_is_neither_letter_nor_both(response: str) -> None:
    for gold in ("B", "D", "B, D"):
        assert judge(response, gold, "mcq").correct is False, gold


GOLDS = [
    ("C", "(C)", None, True),
    ("C", "option C", NUMBERS, True),
    ("18", "C. 18", NUMBERS, True),
    ("A", "15", PREFIXED, True),
    ("B. 15", "15", PREFIXED, False),
    ("A", "A. 15", PREFIXED, True),
    ("B", "18", PREFIXED, True),
    ("D", "BD", ["AB", "BC", "AC", "BD"], True),
    ("B", "\\sqrt{12}", ["1", "$2\\sqrt{3}$"], True),
    ("A", "24", ["24 cm", "24 cm²"], None),
    ("A", "red", ["blue", "green"], None),
    ("A", "red", ["red", "blue", "red"], True),
    ("C", "red", ["red", "blue", "red"], True),
]


@pytest.mark.parametrize(("response", "gold", "options", "correct"), GOLDS)
def test_golds(response: str, gold: str, options: list[str] | None, correct: bool | None) -> None:
    assert judge(response, gold, "mcq", options).correct is correct


@pytest.mark.parametrize("piece", ["so A ", "B, ", "( a", "not B ", "<span hidden ", "~~", "or ", "$", "'A' ", "[A] "])
def test_repeated_pieces_are_read_quickly(piece: str) -> None:
    # A verdict at all is the point: no expression may take more than polynomial time of a low degree.
    for response in (piece * (290 // len(piece)), "B. " + piece * (1_990 // len(piece))):
        assert judge(f"<answer>{response}</answer>", "C", "mcq", ["x y z", *COLOURS]).correct is False
