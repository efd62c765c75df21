"""The one way in which anything here says no."""


class Refused(Exception):
    """Why a statement or a file must not be taken."""


def must(ok, why):
    if not ok:
        raise Refused(why)
