"""A table as text, read by eye."""

from vinnas_tf.run.tables import markdown_table


def test_names_stand_left_and_figures_right():
    assert markdown_table(
        ["network", "n", "accuracy, %"], [["vinnas", "3", "98.20 ± 0.10"], ["a|b", "1,000", "-"]]
    ) == (
        "| network |     n |  accuracy, % |\n"
        "| ------- | ----: | -----------: |\n"
        "| vinnas  |     3 | 98.20 ± 0.10 |\n"
        "| a\\|b    | 1,000 |            - |"
    )


def test_a_table_without_rows_and_titles_is_still_one():
    assert markdown_table(["", "p"], []) == "|     |   p |\n| --- | --: |"
