from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")
clip, report = client.predict(
    clip=handle_file("assets/examples/ball.mp4"),
    source="a red ball rolling left on the grass",
    target="a blue ball rolling left on the grass",
    preset="quick",
    api_name="/edit_video",
)
print(clip, report["metrics"])

job = client.submit(
    mesh=handle_file("assets/examples/mushroom.obj"),
    object="mushroom",
    edit="cap",
    style="red dotted",
    preset="quick",
    api_name="/paint_mesh",
)
for *files, report in job:  # as it runs; the files are there at the end
    print(report["status"], files)
