"""Two small pictures for the examples of task types, so that each runs as it stands."""

from __future__ import annotations

# 64 by 64 pixels: a red mug on white, and a plain light grey.
MUG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQMAAACQp+OdAAAABlBMVEXEKCj///+7lyBrAAAAfklEQVR42sXRsQ3CUAyE4e89"
    "RUo6MkJGYIMwFxWrsUlGoHxIUUwBbohEQQGufvnO9kku4VnVP0EE5ogqsFBtuFGtaLup+4locIiX1NKzJmw60J+zMydMuxjj5dvwDf0S79KScM2oJT01"
    "pS5hSDjmwoiP1zsMuWmkKpgoP/zpA7B6If9S8YsXAAAAAElFTkSuQmCC"
)
GREY = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQMAAACQp+OdAAAAA1BMVEXe4uYFTPPDAAAAD0lEQVR42mNgGAWjgHwAAA"
    "JAAAHgTR1EAAAAAElFTkSuQmCC"
)
