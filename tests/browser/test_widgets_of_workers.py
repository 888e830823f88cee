"""Widgets that live in workers, in a real browser: shown twice, loaded again, with bytes, after their worker's end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.lab import Lab

pytest.importorskip("playwright")
pytest.importorskip("jupyterlab")

from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.processes, pytest.mark.slow]

PATIENCE = 60_000  # ms

TEAM = "import pydist\npydist.addprocs(2)"

SLIDER = """%%everywhere 3
import ipywidgets

slider = ipywidgets.IntSlider(value=3, description='rate')
slider.observe(lambda change: print('moved', change.new), 'value')
display(slider)"""


@pytest.mark.parametrize("local", [False, True], ids=["workers alone", "beside the kernel's own"])
def test_a_page_that_is_loaded_again_has_the_widgets_back(lab: Lab, local: bool) -> None:
    own = "import ipywidgets\nown = ipywidgets.IntText(41)\nown" if local else "pass"
    made = 1
    with lab.notebook(TEAM, SLIDER, "%fetchfrom 3 slider.value", own) as notebook:
        notebook.run(0, made, 3)
        page = notebook.page
        notebook.outputs(made).get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        expect(notebook.outputs(made)).to_contain_text("moved 4", timeout=PATIENCE)

        notebook.load_again()
        view = notebook.outputs(made)
        expect(view.locator(".widget-readout")).to_have_text("4", timeout=PATIENCE)
        view.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        expect(view.locator(".widget-readout")).to_have_text("5")
        notebook.run(2)
        expect(notebook.outputs(2)).to_contain_text("5")
        if local:
            expect(notebook.outputs(3).locator("input")).to_have_value("41")


def test_a_widget_that_is_shown_in_two_cells_moves_in_both(lab: Lab) -> None:
    with lab.notebook(TEAM, SLIDER, "%fetchfrom 3 display(slider)") as notebook:
        notebook.run(0, 1, 2)
        first, second = notebook.outputs(1), notebook.outputs(2)
        second.get_by_role("slider").focus()
        notebook.page.keyboard.press("ArrowRight")
        for view in (first, second):
            expect(view.locator(".widget-readout")).to_have_text("4", timeout=PATIENCE)
        # Its callback was set in the first cell.
        expect(first).to_contain_text("From worker 3:\tmoved 4", timeout=PATIENCE)


def test_a_link_in_the_page_joins_widgets_of_two_processes(lab: Lab) -> None:
    sources = [
        TEAM,
        SLIDER,
        "import ipywidgets\n\nown, half = ipywidgets.IntText(), ipywidgets.IntText()\nfar = %fetchfrom 3 slider\n"
        "ipywidgets.jslink((own, 'value'), (far, 'value'))\nipywidgets.VBox([own, half, far])",
        "%fetchfrom 3 ipywidgets.jsdlink((slider, 'value'), (half, 'value'))",
        "here = own.value, half.value\nthere = %fetchfrom 3 slider.value\nhere, there",
    ]
    with lab.notebook(*sources) as notebook:
        notebook.run(0, 1, 2, 3)
        view = notebook.outputs(2)
        own, half = view.locator("input[type=number]").nth(0), view.locator("input[type=number]").nth(1)
        view.get_by_role("slider").focus()
        notebook.page.keyboard.press("ArrowRight")
        # The link began with the value of its first widget, 0.
        expect(view.locator(".widget-readout")).to_have_text("1", timeout=PATIENCE)
        expect(own).to_have_value("1")
        expect(half).to_have_value("1")
        own.fill("9")
        own.press("Enter")
        expect(view.locator(".widget-readout")).to_have_text("9")
        expect(half).to_have_value("9")
        expect(notebook.outputs(1)).to_contain_text("moved 9", timeout=PATIENCE)
        notebook.run(4)
        expect(notebook.outputs(4)).to_contain_text("((9, 9), 9)")


PICTURE = """%%everywhere 3
import io, struct, wave, zlib
import ipywidgets

def png(size, shade):
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = (b'\\0' + bytes([shade]) * size) * size
    head = struct.pack('>IIBBBBB', size, size, 8, 0, 0, 0, 0)
    return b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')

def wav(seconds):
    file = io.BytesIO()
    with wave.open(file, 'wb') as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(8000)
        out.writeframes(b'\\0\\0' * int(8000 * seconds))
    return file.getvalue()

picture = ipywidgets.Image(value=png(20, 80))
sound = ipywidgets.Audio(value=wav(0.5), format='wav', autoplay=False)
display(picture, sound)"""

BYTES = """%%everywhere 3
import anywidget, traitlets

class Sum(anywidget.AnyWidget):
    _esm = '''
    export default { render({model, el}) {
        const out = document.createElement('output');
        const button = document.createElement('button');
        button.textContent = 'send';
        const draw = () => {
            const data = model.get('data');
            let sum = 0;
            for (let i = 0; i < data.byteLength; i++) sum += data.getUint8(i);
            out.textContent = data.byteLength + ' bytes, sum ' + sum;
        };
        button.addEventListener('click', () => {
            model.set('back', new DataView(new Uint8Array([1, 2, 3]).buffer));
            model.save_changes();
            model.send({what: 'custom'}, undefined, [new Uint8Array([7, 8]).buffer]);
        });
        model.on('change:data', draw);
        draw();
        el.append(out, button);
    } };
    '''
    data = traitlets.Bytes().tag(sync=True)
    back = traitlets.Bytes().tag(sync=True, from_json=lambda buffer, _: bytes(buffer))

adder = Sum(data=bytes(range(10)))
adder.observe(lambda change: print('back', change.new), 'back')
adder.on_msg(lambda _, content, buffers: print(content, [bytes(one) for one in buffers]))
display(adder)"""


def test_bytes_go_both_ways(lab: Lab, tmp_path: Path) -> None:
    pictures, numbers = 1, 2
    with lab.notebook(
        TEAM, PICTURE, BYTES, "%%everywhere 3\npicture.value = png(30, 200)\nadder.data = b'\\1' * 100_000"
    ) as notebook:
        notebook.run(0, pictures, numbers)
        page = notebook.page

        def wait_for_picture(width: int) -> None:
            page.wait_for_function(
                "(width) => [...document.querySelectorAll('img.widget-image')].some(i => i.naturalWidth === width)",
                arg=width,
                timeout=PATIENCE,
            )

        notebook.outputs(pictures)
        wait_for_picture(20)
        page.wait_for_function("() => document.querySelector('audio').duration === 0.5", timeout=PATIENCE)
        view = notebook.outputs(numbers)
        expect(view.locator("output")).to_have_text("10 bytes, sum 45", timeout=PATIENCE)
        view.get_by_role("button", name="send").click()
        expect(view).to_contain_text("back b'\\x01\\x02\\x03'", timeout=PATIENCE)
        expect(view).to_contain_text("{'what': 'custom'} [b'\\x07\\x08']", timeout=PATIENCE)
        notebook.run(3)
        expect(view.locator("output")).to_have_text("100000 bytes, sum 100000", timeout=PATIENCE)
        wait_for_picture(30)

        notebook.load_again()
        notebook.outputs(pictures)
        wait_for_picture(30)
        expect(notebook.outputs(numbers).locator("output")).to_have_text("100000 bytes, sum 100000", timeout=PATIENCE)
        notebook.take_pictures(tmp_path, "bytes")


def test_bars_interact_and_output(lab: Lab, tmp_path: Path) -> None:
    sources = [
        TEAM,
        "%%everywhere 3\nfrom threading import Event\nfrom tqdm.notebook import tqdm\n\ngate = Event()\n"
        "def work(n):\n    for i in tqdm(range(n), mininterval=0):\n        if i == 4:\n            gate.wait(60)\n"
        "    return n",
        "bar = %spawnat 3 work(10)",
        "%fetchfrom 3 gate.set()\nbar.fetch()",
        "%%everywhere 3\nfrom ipywidgets import interact, Output, Button\n\n"
        "@interact(x=(0, 10))\ndef double(x=3):\n    print('double', 2 * x)\n    return x",
        "%%everywhere 3\nout = Output()\nwith out:\n    print('inside')\n    display('shown')\nprint('outside')\n"
        "display(out)",
        "%%everywhere 3\nwith out:\n    print('later')\n    1 / 0",
    ]
    bar, interact, output = 2, 4, 5
    with lab.notebook(*sources) as notebook:
        notebook.run(0, 1, bar)
        page = notebook.page
        meter = notebook.outputs(bar).locator("progress")
        expect(meter).to_have_attribute("value", "4", timeout=PATIENCE)
        notebook.run(3)
        expect(meter).to_have_attribute("value", "10", timeout=PATIENCE)

        notebook.run(interact)
        view = notebook.outputs(interact)
        expect(view).to_contain_text("double 6", timeout=PATIENCE)
        view.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        expect(view).to_contain_text("double 8", timeout=PATIENCE)
        expect(view).not_to_contain_text("double 6")

        notebook.run(output)
        view = notebook.outputs(output)
        inside = view.locator(".widget-output")
        expect(inside).to_contain_text("inside", timeout=PATIENCE)
        expect(inside).to_contain_text("shown")
        expect(inside).not_to_contain_text("outside")
        expect(view).to_contain_text("From worker 3:\toutside")
        notebook.run(6)
        expect(inside).to_contain_text("later", timeout=PATIENCE)
        expect(inside).to_contain_text("ZeroDivisionError")
        notebook.take_pictures(tmp_path, "output")
        notebook.load_again()
        inside = notebook.outputs(output).locator(".widget-output")
        expect(inside).to_contain_text("later", timeout=PATIENCE)
        expect(notebook.outputs(bar).locator("progress")).to_have_attribute("value", "10")


@pytest.mark.parametrize("end", ["%rmprocs 3", "import os\n%fetchfrom 3 os.kill(os.getpid(), 9)"])
def test_widgets_whose_worker_has_ended_are_greyed_out_and_a_page_loaded_anew_says_so(
    lab: Lab, tmp_path: Path, end: str
) -> None:
    with lab.notebook(TEAM, SLIDER, end, "%fetchfrom 2 'still here'") as notebook:
        notebook.run(0, 1, 2)
        view = notebook.outputs(1)
        expect(view.locator(".noUi-target")).to_have_attribute("disabled", "true", timeout=PATIENCE)
        notebook.take_pictures(tmp_path, "ended")
        notebook.load_again()
        notebook.run(3)
        expect(notebook.outputs(3)).to_contain_text("still here")
        expect(view).to_contain_text("model not found", timeout=PATIENCE)
        (complaint,) = lab.complaints
        assert "widget model not found" in complaint
        lab.complaints.clear()
