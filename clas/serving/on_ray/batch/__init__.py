"""`clas-batch`: the classifier over millions of images, as a job of Ray Data."""
