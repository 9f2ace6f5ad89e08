"""Options of every pytest run of the project."""


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the long tests too, beside the others")


def pytest_configure(config):
    if config.getoption("--long") and config.option.markexpr == "not long":
        config.option.markexpr = ""
