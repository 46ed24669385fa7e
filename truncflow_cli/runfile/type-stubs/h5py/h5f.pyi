from h5py.h5g import GroupID

class FileID(GroupID):
    def get_file_image(self) -> bytes: ...
